<?php
/** The payment method: it opens a payment for each attempt, and sends the buyer to its checkout. */

defined('ABSPATH') || exit;

class Payproof_Gateway extends WC_Payment_Gateway
{
    public function __construct()
    {
        $this->id = 'payproof';
        $this->method_title = 'Payproof';
        $this->method_description = 'Completes an order on a verified webhook alone.';
        $this->has_fields = false;
        $this->supports = ['products'];
        $this->init_form_fields();
        $this->init_settings();
        $this->title = $this->get_option('title');
        $this->description = $this->get_option('description');
        add_action("woocommerce_update_options_payment_gateways_{$this->id}", [$this, 'process_admin_options']);
        if (!has_action("woocommerce_thankyou_{$this->id}")) { // WooCommerce may make several of us
            add_action("woocommerce_thankyou_{$this->id}", [$this, 'thank']);
        }
    }

    /** No key and no secret: those are in wp-config.php, and this page says only whether they are set. */
    public function init_form_fields(): void
    {
        $missing = array_filter(
            ['PAYPROOF_URL', 'PAYPROOF_API_KEY', 'PAYPROOF_WEBHOOK_SECRET'],
            fn(string $name): bool => payproof_setting($name) === '',
        );
        $keys = $missing === [] ? 'They are set.' : 'Missing in wp-config.php: ' . implode(', ', $missing) . '.';
        $this->form_fields = [
            'enabled' => ['title' => 'Enable', 'type' => 'checkbox', 'label' => 'Offer it', 'default' => 'no'],
            'title' => ['title' => 'Title', 'type' => 'text', 'default' => 'bKash, cards and wallets'],
            'description' => ['title' => 'Description', 'type' => 'textarea', 'default' => ''],
            'account' => [
                'title' => 'Account',
                'type' => 'text',
                'description' => 'The account of your Payproof that takes the money, such as shop-ipay.',
                'default' => '',
            ],
            'keys' => ['title' => 'Address, key and secret', 'type' => 'title', 'description' => $keys],
            'webhook' => ['title' => 'Webhook', 'type' => 'title', 'description' => rest_url('payproof/v1/webhook')],
        ];
    }

    public function is_available(): bool
    {
        return payproof_setting('PAYPROOF_API_KEY') !== ''
            && payproof_signing_key(payproof_setting('PAYPROOF_WEBHOOK_SECRET')) !== ''
            && $this->get_option('account') !== ''
            && get_woocommerce_currency() === 'BDT'
            && parent::is_available();
    }

    /** @return array{result: string, redirect?: string} */
    public function process_payment($order_id): array
    {
        try {
            $url = payproof_alone((int) $order_id, fn(): ?string => $this->open((int) $order_id));
        } catch (RuntimeException) {
            $url = null;
        }
        if ($url === null) {
            wc_add_notice(esc_html('The payment could not be opened. Nothing was paid; please try again.'), 'error');
            return ['result' => 'failure'];
        }
        return ['result' => 'success', 'redirect' => $url];
    }

    /** Where the buyer goes; null where no payment could be opened. */
    private function open(int $order_id): ?string
    {
        wp_cache_flush_runtime();
        $order = wc_get_order($order_id);
        if ($order->is_paid() || $order->has_status('refunded')) { // who buys again makes a new order
            return $this->get_return_url($order);
        }
        $name = payproof_order_name($order_id);
        $payments = payproof_payments_of($name);
        if ($payments === null) {
            return null; // a second attempt without knowing the first might be paid twice
        }
        $ended = false;
        foreach ($payments as $payment) {
            if (payproof_opened($payment) !== $order_id) {
                continue; // of a copy of this site
            }
            if ($payment['status'] === 'completed' || $payment['hold'] !== null) {
                return $this->get_return_url($order); // the webhook is on its way, or a person looks at it
            }
            if ($this->still_open($payment, $order)) {
                return $payment['checkout_url'];
            }
            $over = $payment['status'] !== 'pending' || is_string($payment['checkout_url']); // and no longer open
            $ended = $ended || ($over && $payment['reference'] === payproof_reference($order));
        }
        $attempt = (int) $order->get_meta(PAYPROOF_ATTEMPT);
        $request = $this->request($order, $name);
        $hash = hash('sha256', (string) wp_json_encode($request));
        $lost = $attempt > 0 && !$ended && $order->get_meta(PAYPROOF_REQUEST) === $hash;
        if (!$lost) { // an attempt whose answer was lost is opened again, by the same body and key
            $order->update_meta_data(PAYPROOF_ATTEMPT, (string) ++$attempt);
            $order->update_meta_data(PAYPROOF_REQUEST, $hash);
            payproof_remember($order, $request['account']);
            $order->save();
        }
        $request['reference'] = payproof_reference($order);
        [$status, $answer, $settled] = payproof_call('POST', '/v1/payments', $request, $request['reference']);
        if ($settled) {
            $order->delete_meta_data(PAYPROOF_REQUEST); // the next attempt has a new reference
            $order->save();
        }
        if ($status === 201 && is_string($answer['checkout_url'] ?? null)) {
            $order->add_order_note(esc_html("Payproof: opened {$answer['payment_id']}."));
            return $answer['checkout_url'];
        }
        $why = trim(($answer['code'] ?? 'no answer') . ' ' . ($answer['detail'] ?? ''));
        $order->add_order_note(esc_html("Payproof: the payment could not be opened ($why)."));
        return null;
    }

    private function still_open(array $payment, WC_Order $order): bool
    {
        return $payment['status'] === 'pending'
            && is_string($payment['checkout_url'])
            && $payment['account'] === $this->get_option('account')
            && $payment['amount'] === payproof_amount($order)
            && $payment['currency'] === $order->get_currency()
            && strtotime((string) $payment['expires_at']) > time() + 60;
    }

    /** The body that opens a payment, but for its reference. */
    private function request(WC_Order $order, string $name): array
    {
        $customer = [
            'name' => trim($order->get_billing_first_name() . ' ' . $order->get_billing_last_name()),
            'email' => $order->get_billing_email(),
            'phone' => $order->get_billing_phone(),
            'address' => trim($order->get_billing_address_1() . ' ' . $order->get_billing_address_2()),
            'city' => $order->get_billing_city(),
            'postcode' => $order->get_billing_postcode(),
            'country' => $order->get_billing_country(),
        ];
        $request = [
            'account' => $this->get_option('account'),
            'order' => $name,
            'amount' => payproof_amount($order),
            'currency' => $order->get_currency(),
            'description' => 'Order ' . $order->get_order_number(),
            'return_url' => $this->get_return_url($order),
            'failure_url' => $order->get_checkout_payment_url(),
            'cancel_url' => $order->get_checkout_payment_url(),
        ];
        $customer = array_filter($customer, fn(string $value): bool => $value !== '');
        return $customer === [] ? $request : $request + ['customer' => $customer]; // PHP writes an empty one as a list
    }

    /** Words for the buyer's eyes; the order changes by the webhook alone. */
    public function thank($order_id): void
    {
        $order = wc_get_order($order_id);
        if (!$order instanceof WC_Order) {
            return;
        }
        $query = array_map(fn($value) => is_string($value) ? wp_unslash($value) : '', $_GET);
        $secret = payproof_setting('PAYPROOF_WEBHOOK_SECRET');
        $status = payproof_returned_status($secret, $query, payproof_reference($order));
        $words = [
            'completed' => 'Your payment is verified. Thank you!',
            'held' => 'Your payment needs a look by a person. We will write to you.',
            'refunded' => 'Your money is on its way back.',
        ];
        echo '<p class="payproof">', esc_html($words[$status ?? ''] ?? 'We are checking your payment.'), '</p>';
    }
}
