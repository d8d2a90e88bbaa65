<?php
// Receives Payproof's webhooks and ships paid orders, once: one page of any web server. DATABASE is a PDO name such as
// `mysql:host=db;dbname=shop` (here sqlite, for a try).
//
// Events come at least once, sometimes twice and out of order. 2xx is answered only after the event is stored.
// An order is one row of `shipments`, ever. It may leave while `stop` is null: a payment of it is completed, not held
// and not at high risk. One that has left and is stopped is for a person.
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

// Stores a newer snapshot, and derives from all payments of its order whether that may leave.
function take(PDO $database, array $payment): void
{
    $run = fn(string $sql, array $with) => ($done = $database->prepare($sql))->execute($with) ? $done : null;
    [$order, $id, $version] = [$payment['order'] ?? $payment['reference'], $payment['payment_id'], $payment['version']];
    $stop = $payment['hold'] ?? (($payment['risk'] ?? null) === 'high' ? 'risk' : $payment['status']);
    $database->beginTransaction(); // of two about an order one waits, or fails and is sent again
    $run('update payments set id = id where order_id = ?', [$order]);
    $newer = $run("replace into payments select ?, ?, ?, nullif(?, 'completed') from (select 1) as one
        where not exists (select 1 from payments where order_id = ? and id = ? and version >= ?)",
        [$order, $id, $version, $stop, $order, $id, $version])->rowCount();
    if ($newer) {
        $run('insert into shipments select ?, ? from (select 1) as one
            where not exists (select 1 from shipments where order_id = ?)', [$order, $stop, $order]);
        $run('update shipments set stop = (select stop from payments where order_id = ?
            order by stop is not null, stop limit 1) where order_id = ?', [$order, $order]);
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
    $order = 'order_id varchar(400) collate binary'; // no A for a
    $table('payments', "$order, id varchar(100) collate binary, version int, stop text, primary key (order_id, id)");
    $table('shipments', "$order, stop text, primary key (order_id)");
    take($database, $event['data']);
}
http_response_code(200);
