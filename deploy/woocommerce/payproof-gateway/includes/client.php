<?php
/** Payproof's API, over WordPress's HTTP. */

defined('ABSPATH') || exit;

function payproof_setting(string $name): string
{
    return defined($name) ? (string) constant($name) : '';
}

/**
 * One request. Returns the HTTP status, 0 where there was no readable answer, and the body.
 *
 * @return array{int, array<string, mixed>}
 */
function payproof_call(string $method, string $path, ?array $body = null, string $idempotency_key = ''): array
{
    $headers = ['Authorization' => 'Bearer ' . payproof_setting('PAYPROOF_API_KEY'), 'Accept' => 'application/json'];
    if ($body !== null) {
        $headers['Content-Type'] = 'application/json';
    }
    if ($idempotency_key !== '') {
        $headers['Idempotency-Key'] = $idempotency_key;
    }
    $answer = wp_remote_request(rtrim(payproof_setting('PAYPROOF_URL'), '/') . $path, [
        'method' => $method,
        'headers' => $headers,
        'body' => $body === null ? null : wp_json_encode($body),
        'timeout' => 20,
        'redirection' => 0, // the key goes nowhere else
    ]);
    if (is_wp_error($answer)) {
        return [0, []];
    }
    $read = json_decode(wp_remote_retrieve_body($answer), true);
    return is_array($read) ? [(int) wp_remote_retrieve_response_code($answer), $read] : [0, []];
}

/**
 * The payments of an order, newest first; null where they could not be read.
 *
 * @return list<array<string, mixed>>|null
 */
function payproof_payments_of(string $order_name): ?array
{
    [$status, $read] = payproof_call('GET', '/v1/payments?limit=100&order=' . rawurlencode($order_name));
    return $status === 200 && is_array($read['payments'] ?? null) ? $read['payments'] : null;
}
