<?php
/** Payproof's API, over WordPress's HTTP. */

defined('ABSPATH') || exit;

const PAYPROOF_OPENING_SECONDS = 60; // an opening may take 40, and waits for its twin before

function payproof_setting(string $name): string
{
    return defined($name) ? (string) constant($name) : '';
}

/** Payproof answered, and opened no payment. The message is for the buyer. */
class Payproof_Refused extends RuntimeException
{
}

/**
 * One request. Returns the HTTP status, 0 where there was no readable answer, the body, and whether that settles it:
 * an answer that asks to come again, and any 5xx, does not.
 *
 * @return array{int, array<string, mixed>, bool}
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
        'timeout' => $method === 'GET' ? 20 : PAYPROOF_OPENING_SECONDS,
        'redirection' => 0, // the key goes nowhere else
    ]);
    $read = is_wp_error($answer) ? null : json_decode(wp_remote_retrieve_body($answer), true);
    if (!is_array($read)) {
        return [0, [], false];
    }
    $status = (int) wp_remote_retrieve_response_code($answer);
    $again = $status === 429 || $status >= 500 || wp_remote_retrieve_header($answer, 'retry-after') !== '';
    return [$status, $read, !$again];
}

/** What an answer says in words, for a note or the log. */
function payproof_answer_words(int $status, array $answer): string
{
    return $status === 0 ? 'no answer' : trim("$status " . ($answer['code'] ?? '') . ' ' . ($answer['detail'] ?? ''));
}

/**
 * The payments that match a query such as `order=…`, newest first, page by page. Throws RuntimeException where they could
 * not be read.
 *
 * @return Generator<int, array<string, mixed>>
 */
function payproof_list_payments(string $filter): Generator
{
    $cursor = '';
    do {
        [$status, $read] = payproof_call('GET', "/v1/payments?limit=100&$filter$cursor");
        if ($status !== 200 || !is_array($read['payments'] ?? null)) {
            throw new RuntimeException('its payments could not be read: ' . payproof_answer_words($status, $read));
        }
        foreach ($read['payments'] as $payment) {
            yield $payment;
        }
        $next = $read['next_cursor'] ?? null;
        $cursor = '&cursor=' . rawurlencode((string) $next);
    } while ($next !== null);
}

/** @return list<array<string, mixed>> */
function payproof_payments_of(string $order_name): array
{
    return iterator_to_array(payproof_list_payments('order=' . rawurlencode($order_name)), false);
}
