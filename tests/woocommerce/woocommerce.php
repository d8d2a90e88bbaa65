<?php
/**
 * Plugin Name: Stand-ins for WooCommerce's classes
 *
 * WooCommerce cannot be had where these tests run. Its classes and functions that the gateway uses stand here, with
 * their names, parameters, statuses and hooks. Everything else is real: WordPress, its REST API, cron, users, nonces,
 * PHP and MariaDB. An order is a row of a table of its own, as in HPOS: it is no post. As in WooCommerce, a save that
 * fails says nothing, and an order that was read once comes from a cache.
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

require __DIR__ . '/order.php';
require __DIR__ . '/hands.php';

}
