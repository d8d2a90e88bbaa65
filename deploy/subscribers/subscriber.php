<?php
// Gets Payproof's events over RabbitMQ and ships paid orders, once. Needs `composer require php-amqplib/php-amqplib`;
// DATABASE is a PDO name such as `mysql:host=db;dbname=shop` (here sqlite, for a try).
//
// Events come at least once, sometimes twice and out of order. A message is acknowledged after its event is stored. An
// unreadable one goes to `<queue>.dead` for a person.
// An order is one row of `shipments`, ever. It may leave while `stop` is null: a payment of it is completed, not held
// and not at high risk. One that has left and is stopped is for a person.
require getenv('AUTOLOAD') ?: __DIR__ . '/vendor/autoload.php';

use PhpAmqpLib\Connection\AMQPStreamConnection;
use PhpAmqpLib\Wire\AMQPTable;

$at = parse_url(getenv('AMQP_URL')) + ['port' => 5672];
$name = getenv('QUEUE') ?: 'shop.payments'; // a queue for each of your services
$quorum = ['x-queue-type' => 'quorum', 'x-delivery-limit' => 1000]; // failing for an hour, it goes to a person too
$toDead = ['x-dead-letter-exchange' => '', 'x-dead-letter-routing-key' => "$name.dead"];
$merchant = getenv('MERCHANT') ?: throw new Exception('MERCHANT is not set'); // others' events are there too

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

while (true) { // when the broker goes away, or the work fails; what was not acknowledged comes again
    try {
        $login = [getenv('DB_USER') ?: '', getenv('DB_PASSWORD') ?: ''];
        $database = new PDO(getenv('DATABASE') ?: 'sqlite:shop.sqlite', ...$login);
        $table = fn(string $name, string $rest) => $database->exec("create table if not exists $name ($rest)");
        $order = 'order_id varchar(400) collate binary'; // no A for a
        $id = 'id varchar(100) collate binary';
        $table('payments', "$order, $id, version int, stop text, primary key (order_id, id)");
        $table('shipments', "$order, stop text, primary key (order_id)");
        $hear = function ($message) use ($database): void {
            $payment = json_decode($message->getBody(), true)['data'] ?? null;
            $fields = ['payment_id', 'version', 'status', 'hold', 'order', 'reference'];
            if (!is_array($payment) || array_diff($fields, array_keys($payment))) {
                $message->reject(false);
                return;
            }
            take($database, $payment);
            $message->ack();
        };
        $connection = new AMQPStreamConnection($at['host'], $at['port'], $at['user'], $at['pass'], heartbeat: 15);
        $channel = $connection->channel();
        $channel->basic_qos(0, 20, false);
        $channel->queue_declare("$name.dead", false, true, false, false, false, new AMQPTable($quorum));
        $channel->queue_declare($name, false, true, false, false, false, new AMQPTable($quorum + $toDead));
        $channel->queue_bind($name, 'payproof.events', "payment.*.$merchant.*"); // a hold or a refund stops it
        $channel->basic_consume($name, callback: $hear);
        while ($channel->is_consuming()) $channel->wait(null, false, 300); // silent for so long: a new consumer
    } catch (Throwable $error) {
        echo get_class($error), ': ', $error->getMessage(), "; beginning again\n";
    }
    sleep(5);
}
