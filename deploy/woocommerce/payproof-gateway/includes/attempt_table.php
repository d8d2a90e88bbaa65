<?php
/** This site's name at Payproof, and the attempts that it opened: by them a payment is known as its own. */

defined('ABSPATH') || exit;

/** Make this site's name at Payproof and the table of its attempts. Again, or twice at once, it changes nothing. */
function payproof_install(): void
{
    global $wpdb;
    $wpdb->query(
        "CREATE TABLE IF NOT EXISTS {$wpdb->prefix}payproof_attempts (
            reference varbinary(100) PRIMARY KEY, order_id bigint unsigned NOT NULL, account varbinary(100) NOT NULL,
            opened_at bigint NOT NULL, KEY order_id (order_id))",
    );
    $insert = "INSERT IGNORE INTO {$wpdb->options} (option_name, option_value, autoload) VALUES (%s, %s, 'yes')";
    $wpdb->query($wpdb->prepare($insert, 'payproof_site', bin2hex(random_bytes(3)))); // add_option would write over it
    foreach (['payproof_site', 'notoptions', 'alloptions'] as $cached) {
        wp_cache_delete($cached, 'options');
    }
}

/** The name of an order at Payproof; several sites may share one account. */
function payproof_order_name(int $order_id): string
{
    return 'wc-' . payproof_site() . "-$order_id";
}

function payproof_site(): string
{
    $site = get_option('payproof_site');
    if (!is_string($site) || $site === '') {
        throw new RuntimeException('the plugin is not installed; deactivate and activate it');
    }
    return $site;
}

/** The reference of the newest attempt; no payment's where there was none. */
function payproof_reference(WC_Order $order): string
{
    return payproof_order_name($order->get_id()) . '-' . $order->get_meta(PAYPROOF_ATTEMPT);
}

/** Remember an attempt, before it is opened. Throws RuntimeException where that fails. */
function payproof_remember(WC_Order $order, string $account): void
{
    global $wpdb;
    $row = ['reference' => payproof_reference($order), 'order_id' => $order->get_id(), 'account' => $account];
    if ($wpdb->replace("{$wpdb->prefix}payproof_attempts", $row + ['opened_at' => time()]) === false) {
        throw new RuntimeException('the attempt could not be stored');
    }
}

/** The order of a payment that this site opened, at this account; 0 where it did not. A copy of the site has others. */
function payproof_opened(array $payment): int
{
    global $wpdb;
    $asked = "SELECT order_id FROM {$wpdb->prefix}payproof_attempts WHERE reference = %s AND account = %s";
    $wpdb->last_error = '';
    $found = $wpdb->get_var($wpdb->prepare($asked, $payment['reference'], $payment['account']));
    if ($wpdb->last_error !== '') {
        throw new RuntimeException('the attempts could not be read');
    }
    return (int) $found;
}

/** Money by our name without an order or an attempt of ours: a person hears of it, once for each version. */
function payproof_tell_of_money(array $payment): void
{
    $ours = str_starts_with((string) ($payment['order'] ?? ''), 'wc-' . payproof_site() . '-');
    $seen = 'payproof_' . md5($payment['payment_id']);
    $money = $payment['status'] === 'completed' || $payment['hold'] !== null;
    if (!$ours || !$money || (int) get_transient($seen) >= $payment['version']) {
        return; // another system of this merchant has it
    }
    $words = "payproof: {$payment['payment_id']} of {$payment['order']} is {$payment['status']}, and this site has no such "
        . "order or did not open it at {$payment['account']}.";
    error_log($words);
    wp_mail(get_option('admin_email'), 'Payproof: money without an order', $words . ' Please look at it.');
    set_transient($seen, $payment['version'], 30 * DAY_IN_SECONDS);
}
