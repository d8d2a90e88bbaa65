-- migrate:up

alter table payments add column unexpected_at timestamptz, add column adopted_at timestamptz;
comment on column payments.unexpected_at is 'A statement named this money, and nobody had announced it; held until it is adopted or resolved';
comment on column payments.adopted_at is 'The shop announced it after all, and it was judged anew by what the shop expects';
comment on table facts is 'What gateways answered, and rows of their statements where no better word can be had; equal answers are one row with first and last times';

-- migrate:down
alter table payments drop column unexpected_at, drop column adopted_at;
comment on table facts is 'What gateways answered; equal answers are one row with first and last times';
