<?php
/** The two signatures that Payproof makes with the merchant's `whsec_…` secret. No WordPress here. */

defined('ABSPATH') || exit;

/** Whether Payproof sent these bytes, within five minutes (Standard Webhooks 1.0). */
function payproof_is_signed(string $secret, string $id, string $sent_at, string $signatures, string $body): bool
{
    $key = payproof_signing_key($secret);
    if ($key === '' || !preg_match('/^[0-9]{1,12}$/D', $sent_at) || abs(time() - (int) $sent_at) > 300) {
        return false;
    }
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$sent_at.$body", $key, true));
    $right = false;
    foreach (explode(' ', $signatures) as $one) {
        $right = hash_equals($expected, $one) || $right;
    }
    return $right;
}

/** The status in the address that the buyer came back to; null where Payproof did not write it about one of these. */
function payproof_returned_status(string $secret, array $query, array $references): ?string
{
    $told = [];
    foreach (['payment_id', 'reference', 'status', 'signature'] as $name) {
        $told[$name] = is_string($query[$name] ?? null) ? $query[$name] : '';
    }
    $key = payproof_signing_key($secret);
    $text = "payproof-return.{$told['payment_id']}.{$told['reference']}.{$told['status']}";
    $right = $key !== '' && hash_equals(hash_hmac('sha256', $text, $key), $told['signature']);
    $right = $right && preg_match('/^pay_[0-9a-z]{26}$/D', $told['payment_id']); // no other place for the dots
    return $right && in_array($told['reference'], $references, true) ? $told['status'] : null;
}

/** The bytes of a `whsec_…` secret; "" where it is none or a short one, with which nothing is right. */
function payproof_signing_key(string $secret): string
{
    $key = str_starts_with($secret, 'whsec_') ? (string) base64_decode(substr($secret, 6), true) : '';
    return strlen($key) < 24 ? '' : $key;
}
