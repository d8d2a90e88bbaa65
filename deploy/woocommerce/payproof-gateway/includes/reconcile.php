<?php
/** Orders that heard nothing are looked up: by WP-Cron every ten minutes, and by a person's button. */

defined('ABSPATH') || exit;

const PAYPROOF_DAYS = 8; // Payproof asks for 7 days
const PAYPROOF_PER_RUN = 50;

function payproof_schedules(array $schedules): array
{
    return $schedules + ['payproof' => ['interval' => 600, 'display' => 'Every ten minutes']];
}

function payproof_schedule(): void
{
    if (!wp_next_scheduled('payproof_reconcile')) {
        wp_schedule_event(time() + 600, 'payproof', 'payproof_reconcile');
    }
}

/** The open orders of the last days, some at each run; the next run goes on behind them. */
function payproof_reconcile(): void
{
    if (!function_exists('wc_get_orders')) {
        return;
    }
    $page = max(1, (int) get_option('payproof_page', 1));
    $orders = wc_get_orders([
        'payment_method' => 'payproof',
        'status' => ['wc-pending', 'wc-on-hold', 'wc-failed', 'wc-cancelled'],
        'date_created' => '>' . (time() - PAYPROOF_DAYS * DAY_IN_SECONDS),
        'orderby' => 'ID',
        'order' => 'ASC',
        'limit' => PAYPROOF_PER_RUN,
        'paged' => $page,
    ]);
    update_option('payproof_page', count($orders) < PAYPROOF_PER_RUN ? 1 : $page + 1, false);
    foreach ($orders as $order) {
        if (!payproof_look($order)) {
            return; // it does not answer; the next run looks again
        }
    }
}

/** Act on what Payproof knows of an order, oldest attempt first. False where Payproof could not be asked. */
function payproof_look(WC_Order $order): bool
{
    $payments = payproof_payments_of(payproof_order_name($order->get_id()));
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
    if ($order->get_payment_method() !== 'payproof' || !current_user_can('edit_shop_orders')) {
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
    if (!$order instanceof WC_Order || $order->get_payment_method() !== 'payproof') {
        wp_die(esc_html('There is no such order.'), '', ['response' => 404]);
    }
    if (!payproof_look($order)) {
        wp_die(esc_html('Payproof does not answer.'), '', ['response' => 502]);
    }
    wp_safe_redirect($order->get_edit_order_url());
    exit;
}
