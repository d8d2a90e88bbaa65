<?php
// Receives Payproof's webhooks and ships paid orders, once: one page of any web server. DATABASE is a PDO name such as
// `mysql:host=db;dbname=shop` (here sqlite, for a try).
//
// Events come at least once, sometimes twice and out of order. 2xx is answered only after the event is stored.
// `shipments` is what may leave: where `stop` is null, at most one of an order, paid by any payment of it. One that was
// refunded is over, and new money makes a new one. One that has left and is stopped is for a person.
http_response_code(500); // where the work below fails; otherwise PHP may answer 200 to an event that was not stored
set_error_handler(fn(int $level, string $words) => throw new ErrorException($words)); // a missing field is a failure
$key = base64_decode(substr((string) getenv('PAYPROOF_WEBHOOK_SECRET'), strlen('whsec_')));
if (strlen($key) < 24) throw new Exception('PAYPROOF_WEBHOOK_SECRET is no whsec_ secret'); // anyone can sign with ""

function verified(string $key, string $body): bool // whether Payproof sent it, within five minutes (Standard Webhooks)
{
    $sentAt = $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '';
    if (!preg_match('/^[0-9]{1,12}$/D', $sentAt) || abs(time() - (int) $sentAt) > 300) return false;
    $signed = ($_SERVER['HTTP_WEBHOOK_ID'] ?? '') . ".$sentAt.$body";
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', $signed, $key, true));
    $right = false;
    $given = explode(' ', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '');
    foreach ($given as $one) $right = hash_equals($expected, $one) || $right;
    return $right;
}

function take(PDO $database, array $payment): void // replace the last lines before the commit by your own work
{
    $run = fn(string $sql, array $with) => ($done = $database->prepare($sql))->execute($with) ? $done : null;
    [$order, $id] = [$payment['order'] ?? $payment['reference'], $payment['payment_id']];
    $stop = $payment['hold'] ?? (($payment['risk'] ?? null) === 'high' ? 'risk' : $payment['status']);
    $state = [$payment['version'], $payment['status'], $payment['hold'], $stop === 'completed' ? null : $stop];
    $unless = 'from (select 1) as one where not exists (select 1 from payments where order_id = ? and id = ?';
    $database->beginTransaction(); // of two about an order one waits, or fails and is sent again
    $run('update payments set id = id where order_id = ?', [$order]);
    $newer = $run("replace into payments select ?, ?, ?, ?, ?, ? $unless and version >= ?)",
        [$order, $id, ...$state, $order, $id, $payment['version']])->rowCount();
    if ($newer) {
        [$best, $stop] = $run("select id, stop from payments where order_id = ? order by stop is not null,
            status <> 'completed', status <> 'refunded', id limit 1", [$order])->fetch();
        $live = "order_id = ? and coalesce(stop, '') <> 'refunded'";
        $run("update shipments set stop = ? where $live", [$stop, $order]);
        $there = $run("select 1 from shipments where $live", [$order])->fetch();
        if ($stop === null && !$there) $run('replace into shipments values (?, ?, null)', [$order, $best]);
    }
    $database->commit();
}

$body = file_get_contents('php://input'); // the bytes as they came
if ($_SERVER['REQUEST_METHOD'] !== 'POST' || !verified($key, $body)) {
    http_response_code(401);
    exit;
}
$event = json_decode($body, true, 64, JSON_THROW_ON_ERROR);
if (str_starts_with($event['type'], 'payment.')) { // others, such as payproof.test, are taken too
    $login = [getenv('DB_USER') ?: '', getenv('DB_PASSWORD') ?: ''];
    $database = new PDO(getenv('DATABASE') ?: 'sqlite:shop.sqlite', ...$login);
    $table = fn(string $name, string $rest) => $database->exec("create table if not exists $name ($rest)");
    $keys = fn(string $own) => "order_id varchar(400) collate binary, $own varchar(100) collate binary"; // no A for a
    $table('payments', "{$keys('id')}, version int, status text, hold text, stop text, primary key (order_id, id)");
    $table('shipments', "{$keys('payment_id')}, stop text, primary key (payment_id)");
    take($database, $event['data']);
}
http_response_code(200);
