<?php
/** The tests' hands: functions and the routes below `standin/v1` make, change, show and pay orders. */

declare(strict_types=1);

use Automattic\WooCommerce\Caches\OrderCache;

defined('ABSPATH') || exit;

/** An order of the tests. @param array<string, mixed> $more */
function standin_order(array $more = []): int
{
    global $wpdb;
    $data = ['status' => 'pending', 'total' => '1500.50', 'payment_method' => 'payproof', 'currency' => 'BDT'];
    $data += ['transaction_id' => '', 'meta' => [], 'history' => [], 'anonymous' => false];
    $data += ['key' => wp_generate_uuid4(), 'address' => '1 Test Road', 'postcode' => '1000'];
    $row = ['data' => wp_json_encode($more + $data)] + (isset($more['id']) ? ['id' => $more['id']] : []);
    $wpdb->insert($wpdb->prefix . 'standin_orders', $row);
    return (int) $wpdb->insert_id;
}

/** As a person or another plugin changes an order. @param array<string, mixed> $change */
function standin_change(int $id, array $change): void
{
    global $wpdb;
    $data = json_decode($wpdb->get_var(WC_Order::asked($id)), true);
    $wpdb->update($wpdb->prefix . 'standin_orders', ['data' => wp_json_encode($change + $data)], ['id' => $id]);
    wc_get_container()->get(OrderCache::class)->remove($id);
}

register_activation_hook(__DIR__ . '/woocommerce.php', function (): void {
    global $wpdb;
    $made = fn(string $name, string $rest) =>
        $wpdb->query("CREATE TABLE {$wpdb->prefix}$name (id bigint AUTO_INCREMENT PRIMARY KEY, $rest)");
    $made('standin_orders', 'data longtext NOT NULL');
    $made('standin_notes', 'order_id bigint, note text');
    get_role('administrator')->add_cap('edit_shop_orders');
});

add_action('rest_api_init', function (): void {
    $route = fn(string $path, string $method, callable $does) => register_rest_route('standin/v1', $path, [
        'methods' => $method,
        'callback' => fn(WP_REST_Request $request) => new WP_REST_Response($does($request)),
        'permission_callback' => '__return_true',
    ]);
    $route('/orders', 'POST', function (WP_REST_Request $request): array {
        $id = standin_order(['total' => $request['total']]);
        return ['id' => $id, 'name' => payproof_order_name(wc_get_order($id))];
    });
    $route('/orders/(?P<id>\d+)', 'GET', fn(WP_REST_Request $request): array => wc_get_order($request['id'])->shown());
    $route('/orders/(?P<id>\d+)/change', 'POST', function (WP_REST_Request $request): array {
        standin_change((int) $request['id'], array_diff_key($request->get_json_params(), ['id' => 0]));
        return [];
    });
    $route('/orders/(?P<id>\d+)/delete', 'POST', function (WP_REST_Request $request): array {
        global $wpdb;
        return [$wpdb->delete($wpdb->prefix . 'standin_orders', ['id' => $request['id']])];
    });
    $route('/mails', 'GET', fn(): array => get_option('standin_mails', []));
    $route('/orders/(?P<id>\d+)/pay', 'POST', function (WP_REST_Request $request): array {
        [$class] = apply_filters('woocommerce_payment_gateways', []);
        $gateway = new $class();
        if (isset($request['drawn'])) { // the sandbox is told beforehand what becomes of this reference
            add_filter('random_password', fn(): string => $request['drawn']);
        }
        $paid = $gateway->is_available() ? $gateway->process_payment((int) $request['id']) : [];
        return $paid + ['result' => 'unavailable', 'notices' => $GLOBALS['standin_notices'] ?? []];
    });
    $route('/settings', 'GET', function (): array {
        [$class] = apply_filters('woocommerce_payment_gateways', []);
        return (new $class())->form_fields;
    });
    $route('/broken', 'POST', fn(WP_REST_Request $request): array => [update_option('standin_broken', $request['is'])]);
});

add_filter('pre_wp_mail', function (?bool $sent, array $mail): bool {
    return update_option('standin_mails', [...get_option('standin_mails', []), $mail]);
}, 10, 2);

add_action('template_redirect', function (): void {
    if (isset($_GET['order-received'])) {
        [$class] = apply_filters('woocommerce_payment_gateways', []);
        new $class();
        do_action('woocommerce_thankyou_payproof', (int) $_GET['order-received']);
        exit;
    }
    if (isset($_GET['order-pay'])) {
        exit('pay again');
    }
});

add_action('admin_menu', function (): void {
    add_menu_page('Order', 'Order', 'read', 'standin-order', function (): void {
        do_action('woocommerce_admin_order_data_after_order_details', wc_get_order((int) $_GET['id']));
    });
});
