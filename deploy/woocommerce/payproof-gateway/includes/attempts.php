<?php
/**
 * The attempts that this site opened, and what was acted on of each. By them a payment is known as its own.
 *
 * Nothing of it is in an order's meta: WooCommerce hides a write that failed, and other plugins copy metas.
 */

defined('ABSPATH') || exit;

/** Make this site's name at Payproof and the table of its attempts. Again, or twice at once, it changes nothing. */
function payproof_install(): void
{
    global $wpdb;
    $wpdb->query(
        "CREATE TABLE IF NOT EXISTS {$wpdb->prefix}payproof_attempts (
            id bigint unsigned AUTO_INCREMENT PRIMARY KEY, reference varbinary(100) NOT NULL UNIQUE,
            order_id bigint unsigned NOT NULL, order_name varbinary(100) NOT NULL, account varbinary(100) NOT NULL,
            opened_at bigint NOT NULL, request varbinary(64) NOT NULL, snapshot mediumblob NOT NULL,
            settled tinyint NOT NULL DEFAULT 0, paid tinyint NOT NULL DEFAULT 0, on_hold tinyint NOT NULL DEFAULT 0,
            looked_at bigint NOT NULL DEFAULT 0, KEY order_name (order_name), KEY opened_at (opened_at))",
    );
    $insert = "INSERT IGNORE INTO {$wpdb->options} (option_name, option_value, autoload) VALUES (%s, %s, 'yes')";
    $wpdb->query($wpdb->prepare($insert, 'payproof_site', bin2hex(random_bytes(3)))); // add_option would write over it
    foreach (['payproof_site', 'notoptions', 'alloptions'] as $cached) {
        wp_cache_delete($cached, 'options');
    }
}

/** What the names of this site's orders begin with; several sites may share one account. */
function payproof_site(): string
{
    $site = get_option('payproof_site');
    if (!is_string($site) || $site === '') {
        throw new RuntimeException('the plugin is not installed; deactivate and activate it');
    }
    return "wc-$site-";
}

/** The name of an order at Payproof. After a restored backup a new order may have an old id, but never its key. */
function payproof_order_name(WC_Order $order): string
{
    return payproof_site() . $order->get_id() . '-' . substr(hash('sha256', $order->get_order_key()), 0, 8);
}

/**
 * The rows of one statement; `{attempts}` stands for the table. Throws RuntimeException where it failed.
 *
 * @return list<stdClass>
 */
function payproof_query(string $sql, mixed ...$with): array
{
    global $wpdb;
    $sql = $wpdb->prepare(str_replace('{attempts}', "{$wpdb->prefix}payproof_attempts", $sql), ...$with);
    if ($wpdb->query($sql) === false) {
        throw new RuntimeException("the attempts could not be read or stored: {$wpdb->last_error}");
    }
    return $wpdb->last_result;
}

/** Store an attempt, before it is opened. Its reference is drawn: no other order or copy of this site ever had it. */
function payproof_store_attempt(WC_Order $order, string $account, string $request): string
{
    $reference = "wc-{$order->get_id()}-" . strtolower(wp_generate_password(8, false));
    payproof_query(
        "INSERT INTO {attempts} (reference, order_id, order_name, account, opened_at, request, snapshot)
            VALUES (%s, %d, %s, %s, %d, %s, '')",
        ...[$reference, $order->get_id(), payproof_order_name($order), $account, time(), $request],
    );
    return $reference;
}

/** The attempt of a payment, where this site opened it, at this account. A copy of the site has others. */
function payproof_attempt_of(array $payment): ?stdClass
{
    $asked = 'SELECT * FROM {attempts} WHERE reference = %s AND account = %s';
    return payproof_query($asked, $payment['reference'], $payment['account'])[0] ?? null;
}

/**
 * The attempts of an order by reference, the oldest first. `snapshot` is the newest that was acted on; [] is none.
 *
 * @return array<string, stdClass>
 */
function payproof_attempts_of(string $order_name): array
{
    $attempts = [];
    foreach (payproof_query('SELECT * FROM {attempts} WHERE order_name = %s ORDER BY id', $order_name) as $attempt) {
        $attempt->snapshot = json_decode($attempt->snapshot, true) ?? [];
        $attempts[$attempt->reference] = $attempt;
    }
    return $attempts;
}

/** The same for a page, most of which is not ours: none where they cannot be read. */
function payproof_attempts_to_show(WC_Order $order): array
{
    try {
        return payproof_attempts_of(payproof_order_name($order));
    } catch (RuntimeException) {
        return [];
    }
}

/** Store the snapshot that was acted on. */
function payproof_store_snapshot(stdClass $attempt): void
{
    $settled = $attempt->snapshot['status'] !== 'pending' && $attempt->snapshot['hold'] === null;
    payproof_query(
        'UPDATE {attempts} SET snapshot = %s, settled = %d WHERE reference = %s',
        ...[wp_json_encode($attempt->snapshot), (int) $settled, $attempt->reference],
    );
}
