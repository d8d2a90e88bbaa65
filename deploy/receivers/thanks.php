<?php
// The page that the buyer comes back to: it shows what Payproof verified, and ships nothing.
$key = base64_decode(substr((string) getenv('PAYPROOF_WEBHOOK_SECRET'), strlen('whsec_')));
if (strlen($key) < 24) throw new Exception('PAYPROOF_WEBHOOK_SECRET is no whsec_ secret'); // anyone can sign with ""
$words = [
    'completed' => 'Paid. Thank you!', 'held' => 'Your payment needs a look. We will write to you.',
    'refunded' => 'Your money is on its way back.', 'failed' => 'Not paid. Please try again.',
    'cancelled' => 'Not paid. Please try again.', 'expired' => 'Not paid in time. Please try again.',
];

// The status of the buyer's own attempt; null where Payproof did not write it, or wrote it about another.
function verifiedStatus(string $key, array $query, string $reference): ?string
{
    $told = [];
    foreach (['payment_id', 'reference', 'status', 'signature'] as $name) {
        $told[$name] = is_string($query[$name] ?? null) ? $query[$name] : '';
    }
    $text = "payproof-return.{$told['payment_id']}.{$told['reference']}.{$told['status']}";
    $right = hash_equals(hash_hmac('sha256', $text, $key), $told['signature'])
        && preg_match('/^pay_[0-9a-z]{26}$/D', $told['payment_id']); // no other place for its dots
    return $right && $told['reference'] === $reference ? $told['status'] : null;
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: '';
$reference = substr($path, strlen('/thanks/')); // in your shop: that of the buyer's session
$status = verifiedStatus($key, $_GET, $reference);
header('Content-Type: text/html; charset=utf-8');
echo '<!doctype html><title>Thanks</title><p>', $words[$status ?? ''] ?? 'We are checking.';
