<?php
/** Orders that heard nothing are looked up: by WP-Cron every ten minutes, and by a person's button. */

defined('ABSPATH') || exit;

const PAYPROOF_DAYS = 8; // Payproof asks for 7 days
const PAYPROOF_PER_RUN = 200;
const PAYPROOF_QUIET_PER_RUN = 50; // at least so many of them have their outcome already

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

/** The orders with an attempt of the last days; those that wait for an outcome come first. */
function payproof_reconcile(): void
{
    if (!function_exists('wc_get_order')) {
        return;
    }
    $asked = 'SELECT order_name, MIN(settled) AS quiet FROM {attempts} WHERE opened_at > %d
        GROUP BY order_name HAVING quiet = %d ORDER BY MIN(looked_at), MIN(id) LIMIT %d';
    $since = time() - PAYPROOF_DAYS * DAY_IN_SECONDS;
    $waiting = payproof_query($asked, $since, 0, PAYPROOF_PER_RUN - PAYPROOF_QUIET_PER_RUN);
    $quiet = payproof_query($asked, $since, 1, PAYPROOF_PER_RUN - count($waiting));
    foreach ([...$waiting, ...$quiet] as $found) { // before it is asked about, so that no order stops the others
        payproof_query('UPDATE {attempts} SET looked_at = %d WHERE order_name = %s', time(), $found->order_name);
        if (!payproof_reconcile_order($found->order_name)) {
            break;
        }
    }
    payproof_find_lost($since);
}

/** Money at our account without an attempt, as after a restored backup, is told to a person. No row leads to it. */
function payproof_find_lost(int $since): void
{
    $account = (string) (get_option('woocommerce_payproof_settings', [])['account'] ?? '');
    $listed = ['account' => $account, 'from' => gmdate('Y-m-d\TH:i:s\Z', $since)];
    try {
        foreach ($account === '' ? [] : payproof_list_payments(http_build_query($listed)) as $payment) {
            if (payproof_has_money($payment) && payproof_attempt_of($payment) === null) {
                payproof_report_payment($payment);
            }
        }
    } catch (RuntimeException $error) { // the next run begins anew
        error_log("payproof: {$error->getMessage()}");
    }
}

/** Act on what Payproof knows of an order, oldest attempt first. False where Payproof could not be asked. */
function payproof_reconcile_order(string $order_name): bool
{
    try {
        $payments = payproof_payments_of($order_name);
    } catch (RuntimeException $error) {
        error_log("payproof: $order_name: {$error->getMessage()}");
        return false;
    }
    foreach (array_reverse($payments) as $payment) {
        try {
            payproof_apply_payment($payment);
        } catch (Throwable $error) {
            error_log("payproof: $order_name: {$error->getMessage()}");
        }
    }
    return true;
}

function payproof_show_ask_button(WC_Order $order): void
{
    if (payproof_attempts_to_show($order) === [] || !current_user_can('edit_shop_orders')) {
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
    if (!payproof_reconcile_order(payproof_order_name($order))) {
        wp_die(esc_html('Payproof does not answer.'), '', ['response' => 502]);
    }
    wp_safe_redirect($order->get_edit_order_url());
    exit;
}
