<?php
// Receives Payproof's webhooks and ships paid orders, once: one page of any web server. DATABASE is a PDO name such as
// `mysql:host=db;dbname=shop` (here sqlite, for a try).
//
// Events come at least once, sometimes twice and out of order. 2xx is answered only after the event is stored.
// `shipments` is what may leave: an order whose `stop` is null. A parcel that has left and is stopped is for a person.
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
    $run = fn(string $sql, array $with) => ($done = $database->prepare($sql))->execute($with) ? $done->rowCount() : 0;
    $id = $payment['payment_id'];
    $order = $payment['order'] ?? $payment['reference'];
    $state = [$payment['version'], $payment['status'], $payment['hold']];
    $stop = $payment['hold'] ?? (($payment['risk'] ?? null) === 'high' ? 'risk' : $payment['status']);
    [$three, $go] = ['version = ?, status = ?, hold = ?', 'payment_id = ?, stop = null'];
    $unless = 'from (select 1) as one where not exists (select 1 from';
    $database->beginTransaction(); // of two at once one fails here, and is sent again
    $newer = $run("insert into payments select ?, ?, ?, ? $unless payments where id = ?)", [$id, ...$state, $id])
        ?: $run("update payments set $three where id = ? and version < ?", [...$state, $id, $payment['version']]);
    if ($newer && $stop === 'completed') {
        $run("insert into shipments select ?, ?, null $unless shipments where order_id = ?)", [$order, $id, $order])
            ?: $run("update shipments set $go where order_id = ? and stop is not null", [$id, $order]);
    } elseif ($newer) {
        $run('update shipments set stop = ? where payment_id = ?', [$stop, $id]);
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
    $table = fn(string $name, string $key, string $rest) =>
        $database->exec("create table if not exists $name ($key varchar(60) primary key, $rest)");
    $table('payments', 'id', 'version int, status text, hold text');
    $table('shipments', 'order_id', 'payment_id varchar(40), stop text');
    take($database, $event['data']);
}
http_response_code(200);
