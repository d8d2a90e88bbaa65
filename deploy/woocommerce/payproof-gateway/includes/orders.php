<?php
/**
 * What a payment means for its order: the only place where an order is completed, held or closed.
 *
 * An order is read and written through WooCommerce's own methods alone, so that either of its stores (HPOS) will do.
 */

defined('ABSPATH') || exit;

const PAYPROOF_ATTEMPT = '_payproof_attempt';   // the number of the newest attempt
const PAYPROOF_REQUEST = '_payproof_request';   // a hash of the body that opened it, which a repetition must equal
const PAYPROOF_KNOWN = '_payproof_known';       // payment id → version that was acted on
const PAYPROOF_HELD = '_payproof_held';         // the payment for which we put the order on hold

/** The name of an order at Payproof; several sites may share one account. */
function payproof_order_name(int $order_id): string
{
    $site = get_option('payproof_site');
    if (!is_string($site) || $site === '') {
        add_option('payproof_site', bin2hex(random_bytes(3)), '', false); // where two do it, the first is kept
        wp_cache_delete('payproof_site', 'options');
        $site = get_option('payproof_site');
    }
    return "wc-$site-$order_id";
}

/** The reference of the newest attempt; no payment's where there was none. */
function payproof_reference(WC_Order $order): string
{
    return payproof_order_name($order->get_id()) . '-' . $order->get_meta(PAYPROOF_ATTEMPT);
}

/** The order of a payment; null where it is none of this site's. */
function payproof_order_of(array $payment): ?WC_Order
{
    $name = (string) ($payment['order'] ?? '');
    if (!preg_match('/-([0-9]{1,18})$/D', $name, $found) || payproof_order_name((int) $found[1]) !== $name) {
        return null;
    }
    $order = wc_get_order((int) $found[1]);
    return $order instanceof WC_Order && $order->get_payment_method() === 'payproof' ? $order : null;
}

/** An order's total as Payproof writes amounts: text with two decimals. */
function payproof_amount(WC_Order $order): string
{
    return wc_format_decimal($order->get_total('edit'), 2);
}

/** Do `$work` while no other request works on this order. Throws RuntimeException after 10 seconds. */
function payproof_alone(int $order_id, callable $work): mixed
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

/**
 * Act on a payment as Payproof shows it. What is not newer than what was acted on is dropped.
 *
 * The version is stored last: a death in between has the same snapshot acted on again, which changes nothing.
 * Throws RuntimeException where it could not be stored.
 */
function payproof_take(array $payment): void
{
    $found = payproof_order_of($payment);
    if ($found === null) {
        return; // another system of this merchant has it
    }
    payproof_alone($found->get_id(), function () use ($found, $payment): void {
        wp_cache_flush_runtime(); // read it as it is under the lock
        $order = wc_get_order($found->get_id());
        $known = $order->get_meta(PAYPROOF_KNOWN);
        $known = is_array($known) ? $known : [];
        if ((int) ($known[$payment['payment_id']] ?? 0) >= $payment['version']) {
            return;
        }
        payproof_act($order, $payment);
        $known[$payment['payment_id']] = $payment['version'];
        $order->update_meta_data(PAYPROOF_KNOWN, $known);
        $order->save();
    });
}

function payproof_act(WC_Order $order, array $payment): void
{
    $newest = $payment['reference'] === payproof_reference($order);
    $ours = $order->get_meta(PAYPROOF_HELD) === $payment['payment_id'];
    $paid = $payment['status'] === 'completed';
    $fits = $payment['amount'] === payproof_amount($order) && $payment['currency'] === $order->get_currency();
    if ($payment['hold'] !== null) {
        payproof_hold($order, $payment, 'Payproof holds it: ' . $payment['hold'] . '.');
    } elseif ($paid && !$fits) {
        payproof_hold($order, $payment, "{$payment['amount']} {$payment['currency']} is not the order's total.");
    } elseif ($paid && ($payment['risk'] ?? null) === 'high') {
        payproof_hold($order, $payment, 'The gateway advises to wait with the goods.');
    } elseif ($paid) {
        payproof_complete($order, $payment);
    } elseif ($payment['status'] === 'refunded') {
        payproof_note($order, $payment, 'All of the money went back.');
        payproof_status($order, 'refunded');
    } elseif ($payment['status'] !== 'pending') {
        payproof_note($order, $payment, "The payment ended as {$payment['status']}.");
        if (($newest && $order->has_status('pending')) || ($ours && $order->has_status('on-hold'))) {
            payproof_status($order, 'failed'); // the buyer may pay by another attempt
        }
    }
}

/** The order may be sent. Released money, too, comes this way. */
function payproof_complete(WC_Order $order, array $payment): void
{
    $back = $payment['refunded_amount'];
    $words = trim($back, '0.') === '' ? '' : " $back of it went back: book that as a refund.";
    payproof_note($order, $payment, 'Paid and verified.' . $words . ($payment['late'] ? ' It came late.' : ''));
    if ($order->is_paid()) {
        return;
    }
    if (!$order->payment_complete((string) ($payment['transaction_id'] ?? $payment['payment_id']))) {
        throw new RuntimeException('WooCommerce could not complete the order');
    }
    if (!$order->is_paid()) { // refunded by hand, or a status of another plugin
        payproof_note($order, $payment, "The order is {$order->get_status()} all the same: please look at it.");
    }
    $order->delete_meta_data(PAYPROOF_HELD);
}

/** The order must not be sent. One that was sent already gets the note alone. */
function payproof_hold(WC_Order $order, array $payment, string $why): void
{
    payproof_note($order, $payment, "$why Do not send the goods until Payproof shows no hold.");
    if ($order->has_status(['pending', 'failed', 'cancelled', 'processing'])) {
        $order->update_meta_data(PAYPROOF_HELD, $payment['payment_id']);
        payproof_status($order, 'on-hold');
    }
}

function payproof_status(WC_Order $order, string $status): void
{
    if (!$order->has_status($status) && !$order->update_status($status)) {
        throw new RuntimeException("WooCommerce could not set the order to $status");
    }
}

/** WooCommerce shows notes as HTML; what came over the network is written as text. */
function payproof_note(WC_Order $order, array $payment, string $words): void
{
    $order->add_order_note(esc_html("Payproof: $words ({$payment['payment_id']}, version {$payment['version']})"));
}
