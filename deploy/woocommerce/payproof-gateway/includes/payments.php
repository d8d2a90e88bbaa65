<?php
/**
 * What a payment means for its order: the only place where an order is completed, held or closed.
 *
 * What the order is by now decides with, since people and other plugins move it too.
 */

defined('ABSPATH') || exit;

const PAYPROOF_FIELDS = ['payment_id', 'version', 'status', 'hold', 'risk', 'amount', 'currency', 'transaction_id'];
const PAYPROOF_UNPAID = ['pending', 'failed', 'cancelled', 'expired'];

/**
 * Act on a payment as Payproof shows it. What is not newer than what was acted on is dropped.
 *
 * The snapshot is stored last: a death in between has the same one acted on again, which changes nothing.
 * Throws RuntimeException where it could not be stored.
 */
function payproof_apply_payment(array $payment): void
{
    $attempt = payproof_attempt_of($payment);
    $apply = fn(): bool => payproof_apply_to_order($attempt, $payment);
    if ($attempt === null || !payproof_with_lock((int) $attempt->order_id, $apply)) {
        payproof_report_payment($payment);
    }
}

/** False where the order is gone; nothing is stored then, so that cron acts on it when the order comes back. */
function payproof_apply_to_order(stdClass $attempt, array $payment): bool
{
    $order = payproof_read_order((int) $attempt->order_id);
    if ($order === null || payproof_order_name($order) !== $attempt->order_name) {
        return false;
    }
    $attempts = payproof_attempts_of($attempt->order_name);
    $attempt = $attempts[$payment['reference']];
    $before = $attempt->snapshot;
    if ((int) ($before['version'] ?? 0) >= $payment['version']) {
        return true;
    }
    $attempt->snapshot = array_intersect_key($payment, array_flip(PAYPROOF_FIELDS));
    payproof_move_order($order, $attempts, $attempt, $before);
    $words = payproof_words($order, $payment, $attempt, payproof_state($order, $attempts));
    payproof_note($order, "$words ({$payment['payment_id']}, version {$payment['version']})");
    payproof_store_snapshot($attempt);
    return true;
}

/** What one snapshot says: `completed` alone pays. */
function payproof_verdict(array $snapshot): string
{
    $risky = ($snapshot['risk'] ?? null) === 'high' && $snapshot['status'] === 'completed';
    return $snapshot['hold'] ?? ($risky ? 'high risk' : $snapshot['status'] ?? 'pending');
}

/** Whether the order may be sent for this payment. The total may change after it was paid. */
function payproof_pays(WC_Order $order, stdClass $attempt): bool
{
    $one = $attempt->snapshot;
    return payproof_verdict($one) === 'completed' && ($attempt->paid
        || ($one['amount'] === payproof_amount($order) && $one['currency'] === $order->get_currency()));
}

/** What all payments of the order together mean for it; the order of their events does not matter. */
function payproof_state(WC_Order $order, array $attempts): string
{
    $verdicts = array_map(fn(stdClass $one): string => payproof_verdict($one->snapshot), array_values($attempts));
    return match (true) {
        array_filter($attempts, fn(stdClass $one): bool => payproof_pays($order, $one)) !== [] => 'paid',
        array_diff($verdicts, [...PAYPROOF_UNPAID, 'refunded']) !== [] => 'held',
        in_array('refunded', $verdicts, true) => 'refunded',
        end($verdicts) !== 'pending' => 'failed', // the buyer may pay by another attempt
        default => 'open',
    };
}

function payproof_move_order(WC_Order $order, array $attempts, stdClass $attempt, array $before): void
{
    $verdicts = [payproof_verdict($before), payproof_verdict($attempt->snapshot)];
    $news = $verdicts[0] !== $verdicts[1] && array_diff($verdicts, PAYPROOF_UNPAID) !== [];
    $state = payproof_state($order, $attempts);
    $was_paid = in_array(true, array_map(fn(stdClass $one): bool => (bool) $one->paid, $attempts), true);
    $known = array_map(fn($one) => payproof_verdict($one === $attempt ? $before : $one->snapshot), $attempts);
    $decided = $was_paid || array_diff($known, PAYPROOF_UNPAID) !== []; // its status came after money
    $closed = $order->has_status('refunded') || ($decided && $order->has_status('cancelled'));
    $until = $closed ? PAYPROOF_DECIDE : PAYPROOF_HOLD;
    $stoppable = !$order->has_status(['completed', 'on-hold']); // the first was sent; shops have statuses of their own
    $on_hold = max(array_map(fn(stdClass $one): int => (int) $one->on_hold, $attempts));
    if ($on_hold && !$order->has_status('on-hold')) { // it is over
        payproof_store_hold($order, $on_hold = 0);
    }
    if (!$was_paid && $order->get_payment_method() !== 'payproof') { // the other method decides
        if ($news && in_array($state, ['paid', 'held'], true)) {
            payproof_note($order, "The order has the payment method {$order->get_payment_method()} by now.");
            $stoppable && payproof_hold($order, $until);
        }
    } elseif ($state === 'paid') {
        $pays = payproof_pays($order, $attempt);
        $may = $decided ? $on_hold === PAYPROOF_HOLD : $on_hold !== PAYPROOF_DECIDE;
        if (($news && $pays) || (!$was_paid && $may && !$order->is_paid())) { // or its total was put right
            $payer = $pays ? $attempt : current(array_filter($attempts, fn($one) => payproof_pays($order, $one)));
            payproof_complete($order, $payer, $may);
        }
    } elseif ($state === 'held') {
        $news && $stoppable && payproof_hold($order, $until);
    } elseif ($state === 'refunded' && ($was_paid || $on_hold || $order->has_status(['pending', 'failed']))) {
        $news && payproof_set_status($order, 'refunded');
    } elseif ($news && $stoppable && !$order->has_status(['pending', 'failed', 'cancelled', 'refunded'])) {
        payproof_hold($order, $until); // a person moved it, for cash or for this money
    } elseif ($on_hold || ($state === 'failed' && $order->has_status('pending'))) {
        payproof_set_status($order, $state === 'failed' ? 'failed' : 'pending');
        payproof_store_hold($order, 0);
    }
}

/** The order may be sent, where it `$may` go on by itself; else a person decides. */
function payproof_complete(WC_Order $order, stdClass $payer, bool $may): void
{
    $one = $payer->snapshot;
    $transaction = (string) ($one['transaction_id'] ?? $one['payment_id']);
    $payable = ['on-hold', 'pending', 'failed', 'cancelled'];
    $payable = apply_filters('woocommerce_valid_order_statuses_for_payment_complete', $payable, $order);
    if ($order->is_paid()) {
        if ($order->get_transaction_id() !== $transaction) { // else it was us, and we died before it was stored
            payproof_note($order, "The order was paid before: is it paid twice? ({$one['payment_id']})");
            return;
        }
    } elseif ($may && $order->has_status($payable)) {
        payproof_move($order, fn(): bool => $order->payment_complete($transaction));
        payproof_store_hold($order, 0);
    } else {
        $words = "{$one['payment_id']} is paid and verified, and order {$order->get_id()} is {$order->get_status()}.";
        if (!$order->has_status('on-hold')) { // that one is a person's, or ours before a mail that did not go
            payproof_hold($order, PAYPROOF_DECIDE);
            payproof_note($order, "$words A person decides.");
        }
        payproof_mail('money for a closed order', $words);
        return;
    }
    $payer->paid = '1';
    payproof_query('UPDATE {attempts} SET paid = 1 WHERE reference = %s', $payer->reference);
}

function payproof_words(WC_Order $order, array $payment, stdClass $attempt, string $state): string
{
    $back = (string) $payment['refunded_amount'];
    $part = trim($back, '0.') === '' ? '' : " $back of it went back: book that as a refund.";
    $pays = payproof_pays($order, $attempt);
    $words = match (true) {
        $payment['hold'] !== null => "Payproof holds it: {$payment['hold']}.",
        $pays => 'Paid and verified.' . $part . ($payment['late'] ? ' It came late.' : ''),
        payproof_verdict($attempt->snapshot) === 'high risk' => 'The gateway advises to wait with the goods.',
        $payment['status'] === 'completed' => "{$payment['amount']} {$payment['currency']} is not the order's total.",
        $payment['status'] === 'refunded' => 'All of the money went back.',
        default => "The payment is {$payment['status']}.",
    };
    return $words . match (true) {
        $state === 'held' && $payment['hold'] !== null => ' Do not send the goods until Payproof shows no hold.',
        $state === 'held' => ' Do not send the goods until a person has decided here.',
        $state === 'paid' && !$pays => ' Another payment pays the order.',
        default => '',
    };
}

function payproof_has_money(array $payment): bool
{
    return $payment['status'] === 'completed' || $payment['hold'] !== null;
}

/** Money by our name without an order or an attempt of ours: a person hears of it, once for each version. */
function payproof_report_payment(array $payment): void
{
    $ours = str_starts_with((string) ($payment['order'] ?? ''), payproof_site());
    $seen = 'payproof_' . md5($payment['payment_id']);
    if (!$ours || !payproof_has_money($payment) || (int) get_transient($seen) >= $payment['version']) {
        return; // another system of this merchant has it
    }
    $words = "{$payment['payment_id']} of {$payment['order']} is {$payment['status']}. This site has no such order, "
        . "or has it in the trash, or has no attempt of it at {$payment['account']}, as after a restored backup.";
    payproof_mail('money without an order', $words);
    set_transient($seen, $payment['version'], 30 * DAY_IN_SECONDS);
}
