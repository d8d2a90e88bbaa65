<?php
/** Orders that heard nothing are looked up: by WP-Cron every ten minutes, and by a person's button. */

defined('ABSPATH') || exit;

const PAYPROOF_DAYS = 8; // Payproof asks for 7 days
const PAYPROOF_PER_RUN = 200;

function payproof_schedules(array $schedules): array
{
    return $schedules + ['payproof' => ['interval' => 600, 'display' => 'Every ten minutes']];
}

function payproof_schedule(): void
{
    if (get_option('payproof_site') === false) { // another site of a network
        payproof_install();
    }
    if (!wp_next_scheduled('payproof_reconcile')) {
        wp_schedule_event(time() + 600, 'payproof', 'payproof_reconcile');
    }
}

/** The orders with an attempt of the last days, whatever became of them. The next run goes on behind the last one. */
function payproof_reconcile(): void
{
    global $wpdb;
    if (!function_exists('wc_get_order')) {
        return;
    }
    $asked = "SELECT DISTINCT order_id FROM {$wpdb->prefix}payproof_attempts
        WHERE order_id > %d AND opened_at > %d ORDER BY order_id LIMIT %d";
    $since = time() - PAYPROOF_DAYS * DAY_IN_SECONDS;
    $with = [(int) get_option('payproof_looked', 0), $since, PAYPROOF_PER_RUN];
    $found = $wpdb->get_col($wpdb->prepare($asked, ...$with));
    foreach ($found as $order_id) {
        if (!payproof_look((int) $order_id)) {
            return; // it does not answer; the next run looks again
        }
        update_option('payproof_looked', (int) $order_id, false);
    }
    if (count($found) < PAYPROOF_PER_RUN) {
        update_option('payproof_looked', 0, false);
    }
}

/** Act on what Payproof knows of an order, oldest attempt first. False where Payproof could not be asked. */
function payproof_look(int $order_id): bool
{
    $payments = payproof_payments_of(payproof_order_name($order_id));
    foreach (array_reverse($payments ?? []) as $payment) {
        try {
            payproof_take($payment);
        } catch (Throwable $error) {
            error_log('payproof: ' . $error->getMessage());
        }
    }
    return $payments !== null;
}

function payproof_show_ask_button(WC_Order $order): void
{
    if ($order->get_meta(PAYPROOF_ATTEMPT) === '' || !current_user_can('edit_shop_orders')) {
        return;
    }
    $address = admin_url('admin-post.php?action=payproof_ask&order_id=' . $order->get_id());
    $url = wp_nonce_url($address, 'payproof_ask_' . $order->get_id());
    echo '<p class="form-field form-field-wide"><a class="button" href="', esc_url($url), '">';
    echo esc_html('Look it up at Payproof'), '</a></p>';
}

function payproof_ask_now(): void
{
    $order_id = absint($_GET['order_id'] ?? 0);
    check_admin_referer("payproof_ask_$order_id");
    if (!current_user_can('edit_shop_orders')) {
        wp_die(esc_html('You may not do this.'), '', ['response' => 403]);
    }
    $order = wc_get_order($order_id);
    if (!$order instanceof WC_Order) {
        wp_die(esc_html('There is no such order.'), '', ['response' => 404]);
    }
    if (!payproof_look($order_id)) {
        wp_die(esc_html('Payproof does not answer.'), '', ['response' => 502]);
    }
    wp_safe_redirect($order->get_edit_order_url());
    exit;
}
