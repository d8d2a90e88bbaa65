<?php
/**
 * What a payment means for its order: the only place where an order is completed, held or closed.
 *
 * An order is read and written through WooCommerce's own methods alone, so that either of its stores (HPOS) will do.
 */

defined('ABSPATH') || exit;

const PAYPROOF_ATTEMPT = '_payproof_attempt';   // the number of the newest attempt
const PAYPROOF_REQUEST = '_payproof_request';   // a hash of the body that opened it, which a repetition must equal
const PAYPROOF_KNOWN = '_payproof_known';       // payment id → the newest snapshot that was acted on
const PAYPROOF_STATE = '_payproof_state';       // what all of them told last
const PAYPROOF_PAID = '_payproof_paid';         // the payment that completed the order
const PAYPROOF_HELD = '_payproof_held';         // we put the order on hold
const PAYPROOF_FIELDS = ['reference', 'version', 'status', 'hold', 'risk', 'amount', 'currency', 'transaction_id'];

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
 * The snapshot is stored last: a death in between has the same one acted on again, which changes nothing.
 * Throws RuntimeException where it could not be stored.
 */
function payproof_take(array $payment): void
{
    $order_id = payproof_opened($payment);
    if ($order_id === 0 || !wc_get_order($order_id) instanceof WC_Order) {
        payproof_tell_of_money($payment);
        return;
    }
    payproof_alone($order_id, function () use ($order_id, $payment): void {
        wp_cache_flush_runtime(); // read it as it is under the lock
        $order = wc_get_order($order_id);
        $known = $order->get_meta(PAYPROOF_KNOWN);
        $known = is_array($known) ? $known : [];
        if ((int) ($known[$payment['payment_id']]['version'] ?? 0) >= $payment['version']) {
            return;
        }
        $known[$payment['payment_id']] = array_intersect_key($payment, array_flip(PAYPROOF_FIELDS));
        payproof_act($order, $payment, $known);
        $order->update_meta_data(PAYPROOF_KNOWN, $known);
        $order->save();
    });
}

/** What all payments of the order together mean for it; the order of their events does not matter. */
function payproof_state(WC_Order $order, array $known): string
{
    $some = fn(callable $is): bool => array_filter($known, $is) !== [];
    return match (true) {
        payproof_payer($order, $known) !== null => 'paid',
        $some(fn(array $one): bool => $one['hold'] !== null || $one['status'] === 'completed') => 'held',
        $some(fn(array $one): bool => $one['status'] === 'refunded') => 'refunded',
        $some(fn(array $one): bool => $one['reference'] === payproof_reference($order) && $one['status'] !== 'pending')
            => 'failed', // the buyer may pay by another attempt
        default => 'open',
    };
}

/** The id of a payment for which the order may be sent. The total may change after it was paid. */
function payproof_payer(WC_Order $order, array $known): ?string
{
    foreach ($known as $id => $one) {
        $fits = $one['amount'] === payproof_amount($order) && $one['currency'] === $order->get_currency();
        $sound = $one['status'] === 'completed' && $one['hold'] === null && ($one['risk'] ?? null) !== 'high';
        if ($sound && ($fits || $order->get_meta(PAYPROOF_PAID) === $id)) {
            return $id;
        }
    }
    return null;
}

function payproof_act(WC_Order $order, array $payment, array $known): void
{
    $was = $order->get_meta(PAYPROOF_STATE);
    $state = payproof_state($order, $known);
    payproof_note($order, $payment, payproof_words($order, $payment, $state));
    $elsewhere = $order->get_payment_method() !== 'payproof' && $order->get_meta(PAYPROOF_PAID) === '';
    $money = $payment['status'] === 'completed' || $payment['hold'] !== null;
    if ($elsewhere && in_array($state, ['paid', 'held'], true)) {
        if ($money && $was !== $state) {
            payproof_note($order, $payment, "The order has the payment method {$order->get_payment_method()} by now.");
            payproof_hold($order);
        }
    } elseif ($elsewhere) {
        // the other method decides
    } elseif ($state === 'paid' && $was !== 'paid') {
        payproof_complete($order, $payment, $known);
    } elseif ($state === 'held' && ($was !== 'held' || $money)) {
        payproof_hold($order);
    } elseif ($state === 'refunded' && $was !== 'refunded') {
        payproof_status($order, 'refunded');
    } elseif ($state === 'failed' || $state === 'open') {
        $ours = $order->has_status('on-hold') && $order->get_meta(PAYPROOF_HELD) !== '';
        if ($was === 'paid') {
            payproof_hold($order);
        } elseif ($ours || ($state === 'failed' && $order->has_status('pending'))) {
            payproof_status($order, $state === 'failed' ? 'failed' : 'pending');
        }
    }
    $order->update_meta_data(PAYPROOF_STATE, $state);
}

function payproof_words(WC_Order $order, array $payment, string $state): string
{
    $back = (string) $payment['refunded_amount'];
    $part = trim($back, '0.') === '' ? '' : " $back of it went back: book that as a refund.";
    $alone = payproof_payer($order, [$payment['payment_id'] => $payment]) !== null;
    $words = match (true) {
        $payment['hold'] !== null => "Payproof holds it: {$payment['hold']}.",
        $alone => 'Paid and verified.' . $part . ($payment['late'] ? ' It came late.' : ''),
        $payment['status'] === 'completed' && ($payment['risk'] ?? null) === 'high'
            => 'The gateway advises to wait with the goods.',
        $payment['status'] === 'completed' => "{$payment['amount']} {$payment['currency']} is not the order's total.",
        $payment['status'] === 'refunded' => 'All of the money went back.',
        default => "The payment is {$payment['status']}.",
    };
    return $words . match (true) {
        $state === 'held' => ' Do not send the goods until Payproof shows no hold.',
        $state === 'paid' && !$alone => ' Another payment pays the order.',
        default => '',
    };
}

/** The order may be sent. Released money, too, comes this way. */
function payproof_complete(WC_Order $order, array $payment, array $known): void
{
    $payer = (string) payproof_payer($order, $known);
    $order->update_meta_data(PAYPROOF_PAID, $payer);
    $order->delete_meta_data(PAYPROOF_HELD);
    if ($order->is_paid()) {
        return;
    }
    if (!$order->payment_complete((string) ($known[$payer]['transaction_id'] ?? $payer))) {
        throw new RuntimeException('WooCommerce could not complete the order');
    }
    if (!$order->is_paid()) { // refunded before, or a status of another plugin
        payproof_note($order, $payment, "The order is {$order->get_status()} all the same: please look at it.");
        if ($order->has_status('refunded')) {
            payproof_status($order, 'on-hold');
        }
    }
}

/** The order must not be sent. One that was sent already has the note alone. */
function payproof_hold(WC_Order $order): void
{
    if ($order->has_status(['pending', 'failed', 'cancelled', 'processing', 'refunded'])) {
        $order->update_meta_data(PAYPROOF_HELD, 'yes');
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
