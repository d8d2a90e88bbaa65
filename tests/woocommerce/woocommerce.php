<?php
/**
 * Plugin Name: Stand-ins for WooCommerce's classes
 *
 * WooCommerce cannot be had where these tests run. Its classes and functions that the gateway uses stand here, with
 * their names, parameters, statuses and hooks. Everything else is real: WordPress, its REST API, cron, users and nonces, PHP
 * and MariaDB. An order is a row of a table of its own, as in HPOS: it is no post. As in WooCommerce, a save that fails says
 * nothing, and an order that was read once comes from a cache.
 *
 * The routes below `standin/v1` are the test's hands: they make, show and pay orders.
 */

declare(strict_types=1);

namespace Automattic\WooCommerce\Caches {
    /** No `wp_cache_flush_runtime` empties it, as with an object cache that does not have that function. */
    final class OrderCache
    {
        /** @var array<int, string> */
        public array $rows = [];

        public function remove(int $id): bool
        {
            unset($this->rows[$id]);
            return true;
        }
    }
}

namespace {

use Automattic\WooCommerce\Caches\OrderCache;

defined('ABSPATH') || exit;

abstract class WC_Settings_API
{
    public string $id = '';
    /** @var array<string, array<string, mixed>> */
    public array $form_fields = [];
    /** @var array<string, mixed> */
    public array $settings = [];

    public function init_settings(): void
    {
        $this->settings = (array) get_option("woocommerce_{$this->id}_settings", []);
    }

    public function get_option(string $key, mixed $empty_value = null): mixed
    {
        return $this->settings[$key] ?? $this->form_fields[$key]['default'] ?? $empty_value ?? '';
    }

    public function process_admin_options(): bool
    {
        return true;
    }
}

abstract class WC_Payment_Gateway extends WC_Settings_API
{
    public string $enabled = 'yes';
    public string $title = '';
    public string $description = '';
    public string $method_title = '';
    public string $method_description = '';
    public bool $has_fields = false;
    /** @var list<string> */
    public array $supports = ['products'];

    public function init_settings(): void
    {
        parent::init_settings();
        $this->enabled = ($this->settings['enabled'] ?? '') === 'yes' ? 'yes' : 'no';
    }

    public function is_available(): bool
    {
        return $this->enabled === 'yes';
    }

    public function get_return_url(?WC_Order $order = null): string
    {
        return $order === null ? home_url('/') : $order->get_checkout_order_received_url();
    }

    /** @return array<string, string> */
    public function process_payment($order_id): array
    {
        return [];
    }
}

final class WC_Order
{
    /** @param array<string, mixed> $data */
    public function __construct(private int $id, private array $data)
    {
    }

    public function get_id(): int
    {
        return $this->id;
    }

    public function get_order_key(string $context = 'view'): string
    {
        return $this->data['key'];
    }

    public function get_order_number(): string
    {
        return (string) $this->id;
    }

    public function get_status(string $context = 'view'): string
    {
        return $this->data['status'];
    }

    /** @param string|list<string> $status */
    public function has_status(string|array $status): bool
    {
        return in_array($this->data['status'], (array) $status, true);
    }

    public function is_paid(): bool
    {
        return $this->has_status(['processing', 'completed']);
    }

    public function get_total(string $context = 'view'): string
    {
        return $this->data['total'];
    }

    public function get_currency(string $context = 'view'): string
    {
        return $this->data['currency'];
    }

    public function get_payment_method(string $context = 'view'): string
    {
        return $this->data['payment_method'];
    }

    public function get_transaction_id(string $context = 'view'): string
    {
        return $this->data['transaction_id'];
    }

    public function get_billing_first_name(): string
    {
        return $this->data['anonymous'] ? '' : 'Rahima';
    }

    public function get_billing_last_name(): string
    {
        return $this->data['anonymous'] ? '' : 'Begum';
    }

    public function get_billing_email(): string
    {
        return $this->data['anonymous'] ? '' : 'rahima@example.com';
    }

    public function get_billing_phone(): string
    {
        return $this->data['anonymous'] ? '' : '01700000000';
    }

    public function get_billing_address_1(): string
    {
        return $this->data['anonymous'] ? '' : $this->data['address'];
    }

    public function get_billing_address_2(): string
    {
        return '';
    }

    public function get_billing_city(): string
    {
        return $this->data['anonymous'] ? '' : 'Dhaka';
    }

    public function get_billing_postcode(): string
    {
        return $this->data['anonymous'] ? '' : $this->data['postcode'];
    }

    public function get_billing_country(): string
    {
        return $this->data['anonymous'] ? '' : 'BD';
    }

    public function get_checkout_order_received_url(): string
    {
        return home_url("/?order-received={$this->id}");
    }

    public function get_checkout_payment_url(bool $on_checkout = false): string
    {
        return home_url("/?order-pay={$this->id}");
    }

    public function get_edit_order_url(): string
    {
        return admin_url("admin.php?page=standin-order&id={$this->id}");
    }

    public function get_meta(string $key = '', bool $single = true, string $context = 'view'): mixed
    {
        return $this->data['meta'][$key] ?? '';
    }

    public function update_meta_data(string $key, mixed $value, int $meta_id = 0): void
    {
        $this->data['meta'][$key] = $value;
    }

    public function delete_meta_data(string $key): void
    {
        unset($this->data['meta'][$key]);
    }

    public function add_order_note(string $note, int|bool $is_customer_note = 0, bool $added_by_user = false): int
    {
        global $wpdb;
        $wpdb->insert($wpdb->prefix . 'standin_notes', ['order_id' => $this->id, 'note' => $note]);
        return (int) $wpdb->insert_id;
    }

    public function update_status(string $new_status, string $note = '', bool $manual = false): bool
    {
        $this->move($new_status);
        $this->save();
        return true;
    }

    /** As WooCommerce's: from these statuses alone it moves, and true tells of no move. */
    public function payment_complete(string $transaction_id = ''): bool
    {
        if ($this->has_status(['on-hold', 'pending', 'failed', 'cancelled'])) {
            $this->data['transaction_id'] = $transaction_id;
            $this->move('processing');
            $this->save();
            do_action('woocommerce_payment_complete', $this->id, $transaction_id);
        }
        return true;
    }

    /** As WooCommerce's: a write that fails is logged, and nobody hears of it. */
    public function save(): int
    {
        global $wpdb;
        $broken = get_option('standin_broken');
        $stored = $this->data;
        if ($broken === 'status') { // as with orders that are posts: the metas are written, the post is not
            $stored['status'] = json_decode($wpdb->get_var(self::asked($this->id)), true)['status'];
        }
        if ($broken !== 'all') {
            $wpdb->update($wpdb->prefix . 'standin_orders', ['data' => wp_json_encode($stored)], ['id' => $this->id]);
            wc_get_container()->get(OrderCache::class)->remove($this->id);
        }
        return $this->id;
    }

    public static function asked(int $id): string
    {
        global $wpdb;
        return $wpdb->prepare("SELECT data FROM {$wpdb->prefix}standin_orders WHERE id = %d", $id);
    }

    private function move(string $status): void
    {
        $this->data['history'][] = $status; // WooCommerce sends its e-mails at each of these
        $this->data['status'] = $status;
    }

    /** @return array<string, mixed> */
    public function shown(): array
    {
        global $wpdb;
        $asked = "SELECT note FROM {$wpdb->prefix}standin_notes WHERE order_id = %d ORDER BY id";
        $more = ['name' => payproof_order_name($this), 'attempts' => payproof_attempts_of(payproof_order_name($this))];
        return $this->data + $more + ['id' => $this->id, 'notes' => $wpdb->get_col($wpdb->prepare($asked, $this->id))];
    }
}

final class WC_Data_Store
{
    public static function load(string $object_type): self
    {
        return new self();
    }

    public function has_callable(string $method): bool
    {
        return false;
    }
}

/** The one container, which has the cache of orders. */
function wc_get_container(): object
{
    static $container = null;
    return $container ??= new class {
        private ?OrderCache $cache = null;

        public function get(string $class): OrderCache
        {
            return $this->cache ??= new OrderCache();
        }
    };
}

function wc_get_order(mixed $order_id = false): WC_Order|false
{
    global $wpdb;
    $cache = wc_get_container()->get(OrderCache::class);
    $data = $cache->rows[(int) $order_id] ?? $wpdb->get_var(WC_Order::asked((int) $order_id));
    if ($data === null) {
        return false;
    }
    $cache->rows[(int) $order_id] = $data;
    return new WC_Order((int) $order_id, json_decode($data, true));
}

/** An order of the tests. @param array<string, mixed> $more */
function standin_order(array $more = []): int
{
    global $wpdb;
    $data = ['status' => 'pending', 'total' => '1500.50', 'payment_method' => 'payproof', 'currency' => 'BDT'];
    $data += ['transaction_id' => '', 'meta' => [], 'history' => [], 'anonymous' => false, 'key' => wp_generate_uuid4()];
    $data += ['address' => '1 Test Road', 'postcode' => '1000'];
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

function wc_format_decimal(float|string $number, int|false $dp = false): string
{
    return number_format((float) $number, (int) $dp, '.', '');
}

function wc_add_notice(string $message, string $notice_type = 'success'): void
{
    $GLOBALS['standin_notices'][] = [$notice_type, $message];
}

function get_woocommerce_currency(): string
{
    return 'BDT';
}

register_activation_hook(__FILE__, function (): void {
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

}
