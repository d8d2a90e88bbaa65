<?php
/**
 * Orders, as they are read, locked and moved.
 *
 * They are read and written through WooCommerce's own methods alone, so that either of its stores (HPOS) will do.
 */

use Automattic\WooCommerce\Caches\OrderCache;

defined('ABSPATH') || exit;

const PAYPROOF_HOLD = 1;   // we put the order on hold; when the hold ends, the order goes on
const PAYPROOF_DECIDE = 2; // we put a refunded or cancelled order on hold; a person decides

/** An order's total as Payproof writes amounts: text with two decimals. */
function payproof_amount(WC_Order $order): string
{
    return wc_format_decimal($order->get_total('edit'), 2);
}

/** Do `$work` while no other request works on this order. Throws RuntimeException after 10 seconds. */
function payproof_with_lock(int $order_id, callable $work): mixed
{
    global $wpdb;
    $lock = substr("payproof-{$wpdb->prefix}$order_id-" . DB_NAME, 0, 64);
    if ($wpdb->get_var($wpdb->prepare('SELECT GET_LOCK(%s, 10)', $lock)) !== '1') {
        throw new RuntimeException('the order is busy');
    }
    try {
        return $work();
    } finally {
        $wpdb->query($wpdb->prepare('SELECT RELEASE_LOCK(%s)', $lock));
    }
}

/** The order as it is stored, past every cache; null where there is none, or where it is in the trash. */
function payproof_read_order(int $order_id): ?WC_Order
{
    wp_cache_delete($order_id, 'posts');
    wp_cache_delete($order_id, 'post_meta');
    if (class_exists(OrderCache::class)) {
        wc_get_container()->get(OrderCache::class)->remove($order_id);
    }
    $store = WC_Data_Store::load('order');
    if ($store->has_callable('clear_cached_data')) {
        $store->clear_cached_data([$order_id]);
    }
    $order = wc_get_order($order_id);
    return $order instanceof WC_Order && !$order->has_status('trash') ? $order : null;
}

/** Change the status of an order. Throws where that was not stored: WooCommerce hides a write that failed. */
function payproof_move(WC_Order $order, callable $change): void
{
    $was = $order->get_status();
    $done = $change();
    $stored = payproof_read_order($order->get_id())?->get_status();
    if (!$done || ($stored === $was && $order->get_status() !== $was)) {
        throw new RuntimeException("WooCommerce could not store order {$order->get_id()}");
    }
}

function payproof_set_status(WC_Order $order, string $status): void
{
    if (!$order->has_status($status)) {
        payproof_move($order, fn(): bool => $order->update_status($status));
    }
}

/** Put the order on hold, and remember that it was us. */
function payproof_hold(WC_Order $order, int $until): void
{
    payproof_store_hold($order, $until);
    payproof_set_status($order, 'on-hold');
}

function payproof_store_hold(WC_Order $order, int $until): void
{
    payproof_query('UPDATE {attempts} SET on_hold = %d WHERE order_name = %s', $until, payproof_order_name($order));
}

/** WooCommerce shows notes as HTML; what came over the network is written as text. */
function payproof_note(WC_Order $order, string $words): void
{
    $order->add_order_note(esc_html("Payproof: $words"));
}

/** Tell a person. Throws RuntimeException where the mail did not go. It is in the log in any case. */
function payproof_mail(string $subject, string $words): void
{
    error_log("payproof: $words");
    if (!wp_mail(get_option('admin_email'), "Payproof: $subject", "$words Please look at it.")) {
        throw new RuntimeException('this mail did not go');
    }
}
