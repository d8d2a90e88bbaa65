-- migrate:up

create index payments_unresolved on payments (account, opened_at) where status = 'pending' and hold is null;
comment on index payments_unresolved is 'The oldest payment of an account whose outcome nobody knows yet, found without reading the others';

-- migrate:down
drop index payments_unresolved;
