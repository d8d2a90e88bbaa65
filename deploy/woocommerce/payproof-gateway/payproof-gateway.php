<?php
/**
 * Plugin Name: Payproof for WooCommerce
 * Description: Completes an order on what Payproof verified, never on the buyer's return.
 * Version: 0.1.0
 * Requires at least: 6.1
 * Requires PHP: 8.1
 * Requires Plugins: woocommerce
 * License: Apache-2.0
 *
 * Set in wp-config.php, so that no secret is in the database or in a page:
 *   define('PAYPROOF_URL', 'https://payproof.example');
 *   define('PAYPROOF_API_KEY', '…');
 *   define('PAYPROOF_WEBHOOK_SECRET', 'whsec_…');
 */

defined('ABSPATH') || exit;

require __DIR__ . '/includes/signatures.php';
require __DIR__ . '/includes/client.php';
require __DIR__ . '/includes/attempts.php';
require __DIR__ . '/includes/orders.php';
require __DIR__ . '/includes/payments.php';
require __DIR__ . '/includes/webhook.php';
require __DIR__ . '/includes/reconcile.php';

add_action('before_woocommerce_init', function (): void {
    if (class_exists(\Automattic\WooCommerce\Utilities\FeaturesUtil::class)) {
        \Automattic\WooCommerce\Utilities\FeaturesUtil::declare_compatibility('custom_order_tables', __FILE__, true);
        \Automattic\WooCommerce\Utilities\FeaturesUtil::declare_compatibility('cart_checkout_blocks', __FILE__, false);
    }
});
add_action('plugins_loaded', function (): void {
    if (class_exists('WC_Payment_Gateway')) {
        require __DIR__ . '/includes/gateway.php';
        add_filter('woocommerce_payment_gateways', fn(array $gateways): array => [...$gateways, 'Payproof_Gateway']);
    }
});
add_action('rest_api_init', 'payproof_register_webhook');
add_filter('cron_schedules', 'payproof_schedules');
add_action('init', 'payproof_schedule');
add_action('payproof_reconcile', 'payproof_reconcile');
add_action('woocommerce_admin_order_data_after_order_details', 'payproof_show_ask_button');
add_action('admin_post_payproof_ask', 'payproof_ask_now');
register_activation_hook(__FILE__, 'payproof_install');
register_deactivation_hook(__FILE__, fn() => wp_clear_scheduled_hook('payproof_reconcile'));
