<?php
/** The payment method: it opens a payment for each attempt, and sends the buyer to its checkout. */

defined('ABSPATH') || exit;

class Payproof_Gateway extends WC_Payment_Gateway
{
    public function __construct()
    {
        $this->id = 'payproof';
        $this->method_title = 'Payproof';
        $this->method_description = 'Completes an order on what Payproof verified, never on the buyer\'s return.';
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
        return payproof_setting('PAYPROOF_URL') !== ''
            && payproof_setting('PAYPROOF_API_KEY') !== ''
            && payproof_signing_key(payproof_setting('PAYPROOF_WEBHOOK_SECRET')) !== ''
            && $this->get_option('account') !== ''
            && get_woocommerce_currency() === 'BDT'
            && parent::is_available();
    }

    /** @return array{result: string, redirect?: string} */
    public function process_payment($order_id): array
    {
        try {
            $url = payproof_with_lock((int) $order_id, fn(): string => $this->find_checkout((int) $order_id));
            return ['result' => 'success', 'redirect' => $url];
        } catch (RuntimeException $error) {
            $words = $error instanceof Payproof_Refused
                ? $error->getMessage()
                : 'We cannot see your payment now. If you have paid, please wait; else try again later.';
            wc_add_notice(esc_html($words), 'error');
            $why = $error->getPrevious()?->getMessage() ?? $error->getMessage();
            error_log("payproof: order $order_id: $why");
            payproof_note(wc_get_order($order_id), "The payment could not be opened: $why");
            return ['result' => 'failure'];
        }
    }

    /** Where the buyer goes. Throws RuntimeException where no payment could be opened. */
    private function find_checkout(int $order_id): string
    {
        $order = payproof_read_order($order_id) ?? throw new RuntimeException('there is no such order');
        if ($order->is_paid() || $order->has_status('refunded')) { // who buys again makes a new order
            return $this->get_return_url($order);
        }
        $name = payproof_order_name($order);
        $payments = payproof_payments_of($name); // a second attempt without knowing the first might be paid twice
        foreach ($payments as $payment) {
            if (payproof_has_money($payment) && payproof_attempt_of($payment) === null) {
                payproof_report_payment($payment);
                $what = $payment['hold'] === null ? $payment['status'] : 'held';
                throw new RuntimeException("{$payment['payment_id']} is $what, without an attempt. A person decides.");
            }
        }
        $attempts = payproof_attempts_of($name);
        $newest = end($attempts) ?: null;
        $lost = $newest; // its answer may be
        foreach ($payments as $payment) {
            if (payproof_attempt_of($payment)?->order_name !== $name) {
                continue; // of a copy of this site
            }
            if (payproof_has_money($payment)) {
                return $this->get_return_url($order); // the webhook is on its way, or a person looks at it
            }
            if ($this->still_open($payment, $order)) {
                return $payment['checkout_url'];
            }
            $over = $payment['status'] !== 'pending' || is_string($payment['checkout_url']); // and no longer open
            if ($over && $payment['reference'] === $newest?->reference) {
                $lost = null;
            }
        }
        return $this->open_attempt($order, $lost);
    }

    /** Open a payment. An attempt whose answer was lost is opened again, by the same body and key. */
    private function open_attempt(WC_Order $order, ?stdClass $lost): string
    {
        $request = $this->request($order);
        $hash = hash('sha256', (string) wp_json_encode($request));
        $request['reference'] = $lost?->request === $hash
            ? $lost->reference
            : payproof_store_attempt($order, $request['account'], $hash);
        [$status, $answer, $settled] = payproof_call('POST', '/v1/payments', $request, $request['reference']);
        if ($settled) { // the next attempt has a new reference
            payproof_query("UPDATE {attempts} SET request = '' WHERE reference = %s", $request['reference']);
        }
        if ($status === 201 && is_string($answer['checkout_url'] ?? null)) {
            payproof_note($order, "opened {$answer['payment_id']}.");
            return $answer['checkout_url'];
        }
        $why = new RuntimeException(payproof_answer_words($status, $answer));
        if (!$settled) {
            throw $why;
        }
        $field = preg_match('/^customer\.([a-z]+)$/D', (string) ($answer['field'] ?? ''), $found) ? $found[1] : '';
        $words = $field === '' ? 'try again, or choose another way to pay.' : "check your $field, and try again.";
        throw new Payproof_Refused("The payment could not be opened. Please $words", 0, $why);
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
    private function request(WC_Order $order): array
    {
        $address = trim($order->get_billing_address_1() . ' ' . $order->get_billing_address_2());
        $customer = [ // cut to what every gateway takes
            'name' => mb_substr(trim($order->get_billing_first_name() . ' ' . $order->get_billing_last_name()), 0, 50),
            'email' => $order->get_billing_email(),
            'phone' => $order->get_billing_phone(),
            'address' => mb_substr($address, 0, 50),
            'city' => mb_substr($order->get_billing_city(), 0, 50),
            'postcode' => mb_substr($order->get_billing_postcode(), 0, 30),
            'country' => $order->get_billing_country(),
        ];
        if ($customer['country'] === 'BD' && $customer['postcode'] === '') {
            $customer['postcode'] = '0000'; // WooCommerce does not ask for it there, and gateways want one
        }
        $request = [
            'account' => $this->get_option('account'),
            'order' => payproof_order_name($order),
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

    /** Words for the buyer's eyes, which change no order. The key is the merchant's first secret. */
    public function thank($order_id): void
    {
        $order = wc_get_order($order_id);
        if (!$order instanceof WC_Order) {
            return;
        }
        $query = array_map(fn($value) => is_string($value) ? wp_unslash($value) : '', $_GET);
        $secret = payproof_setting('PAYPROOF_WEBHOOK_SECRET');
        $references = array_keys(payproof_attempts_to_show($order));
        $status = payproof_returned_status($secret, $query, $references);
        $words = [
            'completed' => 'Your payment is verified. Thank you!',
            'held' => 'Your payment needs a look by a person. We will write to you.',
            'refunded' => 'Your money is on its way back.',
        ];
        echo '<p class="payproof">', esc_html($words[$status ?? ''] ?? 'We are checking your payment.'), '</p>';
    }
}
