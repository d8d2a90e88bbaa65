<?php
/** WooCommerce's order, as a row of the stand-ins' table. */

declare(strict_types=1);

use Automattic\WooCommerce\Caches\OrderCache;

defined('ABSPATH') || exit;

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
