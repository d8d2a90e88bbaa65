-- migrate:up

-- Every process tells Prometheus how things stand, so ingress may look at what it may not touch.
update access set ingress = 'select' where relation in ('relays', 'deliveries');
update access set ingress = 'select (id, merchant, place, failures, shut_until, disabled_at)' where relation = 'endpoints';
update access set ingress = 'select (id, died_at)' where relation = 'dead';
update access set ingress = 'insert, select (id, claim_id, provider, later, available_at)' where relation = 'queue';
select grant_access();

-- migrate:down
update access set ingress = '' where relation in ('relays', 'deliveries', 'endpoints', 'dead');
update access set ingress = 'insert, select (id, claim_id, provider, later)' where relation = 'queue';
select grant_access();
