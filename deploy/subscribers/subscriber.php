<?php
// Ships paid orders, once: gets `payment.completed` from Payproof over RabbitMQ. Needs `composer require
// php-amqplib/php-amqplib`; DATABASE is a PDO name such as `mysql:host=db;dbname=shop` (here sqlite, for a try).
//
// Events come at least once, sometimes twice and out of order. An event is stored in one transaction with the work that
// it leads to, and its message is acknowledged after that commit. An unreadable message goes to `<queue>.dead`.
require getenv('AUTOLOAD') ?: __DIR__ . '/vendor/autoload.php';

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Wire\AMQPTable;

$at = parse_url(getenv('AMQP_URL')) + ['port' => 5672];
$name = getenv('QUEUE') ?: 'shop.payments'; // a queue for each of your services
$quorum = ['x-queue-type' => 'quorum', 'x-delivery-limit' => 1000]; // failing for an hour, it goes to a person too
$toDead = ['x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => "$name.dead"];
$database = new PDO(getenv('DATABASE') ?: 'sqlite:shop.sqlite', getenv('DB_USER') ?: '', getenv('DB_PASSWORD') ?: '');
$database->exec('create table if not exists events (id varchar(80) primary key)');
$database->exec('create table if not exists payments (id varchar(40) primary key, version int)');
$database->exec('create table if not exists shipments (id varchar(40) primary key, reference text, amount text)');
$run = fn(string $sql, array $values) => ($done = $database->prepare($sql))->execute($values) ? $done->rowCount() : 0;
$act = function (string $event, string $payment, int $version, array $data) use ($database, $run): void {
    $database->beginTransaction(); // replace the last line before the commit by your own work on the same database
    $unless = 'from (select 1) as one where not exists (select 1 from';
    $new = $run("insert into events select ? $unless events where id = ?)", [$event, $event]);
    $run("insert into payments select ?, 0 $unless payments where id = ?)", [$payment, $payment]);
    $newer = $run('update payments set version = ? where id = ? and version < ?', [$version, $payment, $version]);
    if ($new && $newer && $data['status'] === 'completed' && $data['hold'] === null) {
        $values = [$payment, $data['reference'], $data['amount'], $payment];
        $run("insert into shipments select ?, ?, ? $unless shipments where id = ?)", $values);
    }
    $database->commit();
};
$hear = function ($message) use ($act): void {
    $event = json_decode($message->getBody(), true);
    $data = is_array($event['data'] ?? null) ? $event['data'] + ['hold' => 'unknown'] : [];
    $whole = isset($event['id'], $data['payment_id'], $data['version'], $data['status'], $data['amount']);
    if (!$whole || !is_int($data['version'])) {
        $message->reject(false);
        return;
    }
    $act($event['id'], $data['payment_id'], $data['version'], $data);
    $message->ack();
};
while (true) { // when the broker goes away, or the work fails; what was not acknowledged comes again
    try {
        $connection = new AMQPStreamConnection($at['host'], $at['port'], $at['user'], $at['pass'], heartbeat: 15);
        $channel = $connection->channel();
        $channel->basic_qos(0, 20, false);
        $channel->queue_declare("$name.dead", false, true, false, false, false, new AMQPTable($quorum));
        $channel->queue_declare($name, false, true, false, false, false, new AMQPTable($quorum + $toDead));
        $channel->queue_bind($name, 'payproof.events', 'payment.completed.#');
        $channel->basic_consume($name, callback: $hear);
        while ($channel->is_consuming()) $channel->wait(null, false, 300); // silent for so long: a new consumer
    } catch (Throwable $error) {
        echo get_class($error), ': ', $error->getMessage(), "; beginning again\n";
        if ($database->inTransaction()) $database->rollBack();
    }
    sleep(5);
}
