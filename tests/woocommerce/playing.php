<?php
/** What the scripts of the tests begin with: orders, attempts, payments as Payproof shows them, and its answers. */

require __DIR__ . '/wp-load.php';

/** The reference of a new attempt. */
function attempt(int $order_id): string
{
    return payproof_store_attempt(wc_get_order($order_id), 'shop-payparse', '');
}

/** A payment that is paid, unless `$more` says otherwise. */
function payment(int $order_id, string $reference, array $more = []): array
{
    return $more + ['payment_id' => "pay_$reference", 'order' => payproof_order_name(wc_get_order($order_id)),
        'reference' => $reference, 'account' => 'shop-payparse', 'version' => 2, 'status' => 'completed',
        'hold' => null, 'risk' => null, 'amount' => '1500.50', 'currency' => 'BDT', 'transaction_id' => "T$reference",
        'refunded_amount' => '0.00', 'late' => false, 'checkout_url' => 'https://gateway.example/x',
        'expires_at' => gmdate('c', time() + 600)];
}

/** From here on Payproof answers with what `$answer` makes of method, address and body: status, body, headers. */
function payproof_answers(callable $answer): void
{
    remove_all_filters('pre_http_request');
    add_filter('pre_http_request', function (mixed $no, array $how, string $url) use ($answer): array {
        $sent = json_decode((string) $how['body'], true);
        [$status, $body, $headers] = $answer($how['method'], $url, $sent) + [2 => []];
        $response = ['response' => ['code' => $status], 'headers' => $headers, 'cookies' => []];
        return $response + ['body' => json_encode($body)];
    }, 10, 3);
}

/** What the buyer's click comes to, and what the buyer reads. */
function click(int $order_id): array
{
    $GLOBALS['standin_notices'] = [];
    [$class] = apply_filters('woocommerce_payment_gateways', []);
    $clicked = (new $class())->process_payment($order_id);
    return $clicked + ['words' => implode(' ', array_column($GLOBALS['standin_notices'], 1))];
}

function shown(int $order_id): array
{
    return payproof_read_order($order_id)->shown();
}

/** The mails since the last time. */
function mails(): array
{
    $mails = get_option('standin_mails', []);
    update_option('standin_mails', []);
    return $mails;
}

mails();
