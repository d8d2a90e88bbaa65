<?php
/** The webhook: `/wp-json/payproof/v1/webhook`. */

defined('ABSPATH') || exit;

function payproof_register_webhook(): void
{
    register_rest_route('payproof/v1', '/webhook', [
        'methods' => 'POST',
        'callback' => 'payproof_handle_webhook',
        'permission_callback' => 'payproof_verify_signature',
    ]);
}

/** The signature is the permission. WordPress has parsed the body by then; nothing has acted on it. */
function payproof_verify_signature(WP_REST_Request $request): bool|WP_Error
{
    $right = payproof_is_signed(
        payproof_setting('PAYPROOF_WEBHOOK_SECRET'),
        (string) $request->get_header('webhook_id'),
        (string) $request->get_header('webhook_timestamp'),
        (string) $request->get_header('webhook_signature'),
        $request->get_body(),
    );
    return $right ?: new WP_Error('payproof_signature', 'The signature is wrong.', ['status' => 401]);
}

/** 2xx only when the order is stored; else it is sent again. */
function payproof_handle_webhook(WP_REST_Request $request): WP_REST_Response
{
    $event = json_decode($request->get_body(), true);
    if (!is_array($event) || !is_string($event['type'] ?? null)) {
        return new WP_REST_Response(['error' => 'unreadable'], 400);
    }
    if (!str_starts_with($event['type'], 'payment.')) {
        return new WP_REST_Response(['taken' => false], 200); // such as payproof.test
    }
    try {
        payproof_apply_payment($event['data']);
    } catch (Throwable $error) {
        error_log('payproof: ' . $error->getMessage());
        return new WP_REST_Response(['error' => 'not stored'], 503);
    }
    return new WP_REST_Response(['taken' => true], 200);
}
