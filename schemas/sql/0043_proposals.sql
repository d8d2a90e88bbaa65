-- migrate:up

-- Above a limit of the configuration, one person proposes how a held payment is resolved, and another approves it. The
-- console and the API write proposals, the console alone decides, and a worker applies what is approved.
create table proposals (
    id text primary key,
    payment_id text not null,
    merchant text not null,
    version int not null check (version >= 0),
    basis text not null,
    status text not null check (status in ('pending', 'expired', 'cancelled', 'failed', 'completed', 'refunded')),
    transaction_id text,
    reason text not null,
    evidence text,
    proposed_by text not null check (btrim(proposed_by) <> ''),
    proposed_via text not null check (proposed_via in ('api', 'command', 'console')),
    proposed_key text,
    proposed_from text,
    proposed_at timestamptz not null default clock_timestamp(),
    alone boolean not null default false,
    state text not null default 'open'
        check (state in ('open', 'approved', 'applied', 'refused', 'rejected', 'withdrawn', 'lapsed')),
    decided_by text check (btrim(decided_by) <> ''),
    decided_from text,
    decided_why text,
    decided_at timestamptz,
    ended_at timestamptz,
    refusal_code text,
    refusal text,
    -- Two people: who approves or rejects is not who proposed, nor the name of the key that vouched for them. Where one
    -- person may decide, that person is both, and the worker that applies it sees that the payment is below the limit.
    -- A name of the console is of these signs alone, so it has one spelling beside its case. A key is no person.
    check (decided_by ~ '^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$'),
    check (proposed_via <> 'console' or proposed_by ~ '^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$'),
    check ((proposed_via = 'api') = (proposed_key is not null)),
    check ((proposed_via = 'api') = starts_with(proposed_by, 'key:')),
    check (starts_with(proposed_by, 'key:' || proposed_key || ' (')),
    check (alone = (lower(btrim(decided_by)) = lower(btrim(proposed_by)))),
    check (lower(btrim(decided_by)) <> lower(btrim(proposed_key))),
    check (not alone or proposed_via = 'console'),
    check ((state in ('approved', 'applied', 'refused', 'rejected')) = (decided_by is not null)),
    check ((decided_by is null) = (decided_at is null)),
    check ((state in ('open', 'approved')) = (ended_at is null)),
    check ((state = 'refused') = (refusal_code is not null))
);
comment on table proposals is 'Resolutions that one person proposed and another decides about; a row changes along its states alone, and is deleted with the whole payment alone';
comment on column proposals.version is 'Of the payment that was looked at; approved and applied to this version alone';
comment on column proposals.basis is 'A digest of the version, the holds and every answer of the payment that was looked at';
comment on column proposals.proposed_by is 'An operator of the console; by the API the key, key:NAME (the caller''s word); by a command the caller''s word';
comment on column proposals.proposed_key is 'The name of the API key that vouches for proposed_by';
comment on column proposals.alone is 'One person decides: the payment is below the limit from which two do. The worker refuses it where it is not';
comment on column proposals.state is 'open, approved; ended: applied, refused by the rules of money, rejected, withdrawn, lapsed as the payment changed';
create unique index proposals_waiting on proposals (payment_id) where state in ('open', 'approved');
comment on index proposals_waiting is 'A payment has one proposal at a time that waits';
create index proposals_payment on proposals (payment_id, proposed_at);

-- Whether a process of this group is at work: its login is a member. The owner of the tables may act for every group, as
-- in a shop of one, whose processes have one login.
create function works_as(kind text) returns boolean language sql stable as $$
    select exists (
        select from pg_roles r where r.rolname in ('payproof_' || kind,
                (select c.relowner::regrole::text from pg_class c where c.oid = 'proposals'::regclass))
            and pg_has_role(session_user, r.oid, 'member'))
$$;
comment on function works_as(text) is 'Where an act comes from is told by the login that writes it, and not by the words of the program';

create function may_come_from(via text) returns boolean language sql stable as $$
    select case via when 'console' then works_as('console') when 'api' then works_as('ingress')
        when 'command' then works_as('ingress') when 'worker' then works_as('worker') else false end
$$;

create function proposals_are_decided_once() returns trigger language plpgsql as $$
begin
    if tg_op = 'TRUNCATE' then
        raise exception 'proposals are never emptied' using errcode = 'check_violation';
    elsif tg_op = 'DELETE' then
        if exists (select from payments p where p.id = old.payment_id) then
            raise exception 'proposal % is deleted with its payment alone', old.id using errcode = 'check_violation';
        end if;
        return old;
    elsif tg_op = 'INSERT' then
        if new.state <> 'open' then
            raise exception 'proposal % begins as %', new.id, new.state using errcode = 'check_violation';
        elsif not may_come_from(new.proposed_via) then
            raise exception '% proposes nothing by %', session_user, new.proposed_via using errcode = 'insufficient_privilege';
        elsif not exists (select from payments p where p.id = new.payment_id and p.merchant = new.merchant) then
            raise exception '% has no payment %', new.merchant, new.payment_id using errcode = 'check_violation';
        end if;
        new.proposed_at := clock_timestamp();
        return new;
    end if;
    if (new.id, new.payment_id, new.merchant, new.version, new.basis, new.status, new.transaction_id, new.reason, new.evidence,
            new.proposed_by, new.proposed_via, new.proposed_key, new.proposed_from, new.proposed_at, new.alone)
        is distinct from
        (old.id, old.payment_id, old.merchant, old.version, old.basis, old.status, old.transaction_id, old.reason, old.evidence,
            old.proposed_by, old.proposed_via, old.proposed_key, old.proposed_from, old.proposed_at, old.alone) then
        raise exception 'proposal % would become another', old.id using errcode = 'check_violation';
    end if;
    if not (case when new.state in ('applied', 'refused') then works_as('worker')
            when new.state = 'lapsed' then true else works_as('console') end) then
        raise exception '% makes no proposal %', session_user, new.state using errcode = 'insufficient_privilege';
    end if;
    if (old.state, new.state) not in (('open', 'approved'), ('open', 'rejected'), ('open', 'withdrawn'), ('open', 'lapsed'),
            ('approved', 'applied'), ('approved', 'refused')) then
        raise exception 'proposal % is % and would become %', old.id, old.state, new.state using errcode = 'check_violation';
    end if;
    if new.state = 'approved' and not exists (
            select from payments p where p.id = new.payment_id and p.version = new.version and p.holds <> '{}') then
        raise exception 'proposal % is stale', new.id using errcode = 'check_violation';
    end if;
    if old.state = 'approved' and (new.decided_by, new.decided_from, new.decided_why, new.decided_at)
        is distinct from (old.decided_by, old.decided_from, old.decided_why, old.decided_at) then
        raise exception 'proposal % is decided', old.id using errcode = 'check_violation';
    end if;
    return new;
end
$$;
create trigger proposals_are_decided_once before insert or update or delete on proposals
    for each row execute function proposals_are_decided_once();
create trigger proposals_are_never_emptied before truncate on proposals
    for each statement execute function proposals_are_decided_once();

-- Who did what. It refers to payments by their ids alone, and outlives them.
create table audit (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    actor text not null check (actor <> ''),
    via text not null check (via in ('api', 'command', 'console', 'worker')),
    address text,
    key text,
    action text not null,
    merchant text,
    payment_id text,
    subject text,
    why text,
    detail jsonb not null default '{}',
    -- A key is no person, and a process of ours is none either.
    check ((via = 'api') = (key is not null)),
    check ((via = 'api') = starts_with(actor, 'key:')),
    check (starts_with(actor, 'key:' || key || ' (')),
    check (via <> 'worker' or actor = 'payproof'),
    check (via = 'console' or action not in ('proposal.approved', 'proposal.rejected', 'proposal.withdrawn')),
    check (via = 'worker' or action not in ('proposal.applied', 'proposal.refused', 'proposal.lapsed'))
);
comment on table audit is 'Who did what, when, from where and why. Records are added; nobody changes or deletes one, the owner of the tables neither';
comment on column audit.via is 'api, command or console; worker: a process of ours, which goes on with what a person decided';
comment on column audit.actor is 'An operator of the console; by the API the key, key:NAME (the caller''s word); by a command the caller''s word';
comment on column audit.subject is 'What it was done to beside the payment, such as a proposal';
create index audit_payment on audit (payment_id, id) where payment_id is not null;
create index audit_merchant on audit (merchant, id) where merchant is not null;

create function audit_only_grows() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        -- A proposal lapses in the process that finds the payment changed. Commands that replay, send again or reconcile
        -- have the login of a worker, which decides about no payment and proposes nothing.
        if not (may_come_from(new.via) or new.action = 'proposal.lapsed'
                or new.via = 'command' and works_as('worker') and (new.action = 'payment.verified'
                    or split_part(new.action, '.', 1) in ('dead_letter', 'endpoint', 'event', 'statement'))) then
            raise exception '% writes no record by %', session_user, new.via using errcode = 'insufficient_privilege';
        end if;
        new.at := clock_timestamp();
        return new;
    end if;
    raise exception 'the audit trail only grows' using errcode = 'check_violation';
end
$$;
create trigger audit_only_grows before insert or update or delete on audit
    for each row execute function audit_only_grows();
create trigger audit_is_never_emptied before truncate on audit
    for each statement execute function audit_only_grows();

create table evidence (
    proposal_id text primary key references proposals (id) on delete cascade,
    name text not null check (length(name) between 1 and 200),
    media text not null check (length(media) between 1 and 100),
    size int not null check (size between 1 and 2097152),
    digest bytea not null check (octet_length(digest) = 32),
    key_id text,
    body bytea not null check (octet_length(body) <= 2097152 + 64),
    at timestamptz not null default clock_timestamp()
);
comment on table evidence is 'The file that a proposal rests on, such as a page of a statement (personal data); deleted with the whole payment alone';
comment on column evidence.digest is 'SHA-256 of the file; the resolution names it, so that it holds after the file is gone';
comment on column evidence.key_id is 'As in archive: which key of the configuration the body is encrypted with; null: none, the body is plain';

create function evidence_stays() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and not exists (select from proposals p where p.id = old.proposal_id) then
        return old;
    end if;
    raise exception 'evidence is never changed, and deleted with the whole payment alone' using errcode = 'check_violation';
end
$$;
create trigger evidence_stays before update or delete on evidence for each row execute function evidence_stays();
create trigger evidence_is_never_emptied before truncate on evidence for each statement execute function evidence_stays();

-- A worker resolves by an approved proposal alone, and once. A resolution that names one is what was proposed and approved;
-- one that names none says nothing of a second person. Earlier programs name none, and resolve by a login of ingress or of the owner.
create function resolutions_follow_approval() returns trigger language plpgsql as $$
begin
    if new.resolution ->> 'proposal_id' is not null then
        if not exists (
            select from proposals p
            where p.id = new.resolution ->> 'proposal_id' and p.state = 'approved' and p.payment_id = new.payment_id
                and p.status = new.resolution ->> 'status' and p.proposed_by = new.resolution ->> 'actor'
                and p.reason = new.resolution ->> 'reason'
                and p.transaction_id is not distinct from new.resolution ->> 'transaction_id'
                and p.evidence is not distinct from new.resolution ->> 'evidence'
                and (case when p.alone then null else p.decided_by end)
                    is not distinct from new.resolution ->> 'approved_by') then
            raise exception 'the resolution of % is not what was approved', new.payment_id using errcode = 'check_violation';
        elsif not works_as('worker') then
            raise exception '% applies no proposal', session_user using errcode = 'insufficient_privilege';
        elsif exists (
            select from resolutions r where r.payment_id = new.payment_id
                and r.resolution ->> 'proposal_id' = new.resolution ->> 'proposal_id') then
            raise exception 'proposal % is applied already', new.resolution ->> 'proposal_id' using errcode = 'check_violation';
        end if;
    elsif new.resolution ->> 'approved_by' is not null then
        raise exception 'nobody approved the resolution of %', new.payment_id using errcode = 'check_violation';
    elsif exists (select from pg_roles where rolname = 'payproof_ingress')
        and not pg_has_role(current_user, 'payproof_ingress', 'usage')
        and not pg_has_role(current_user, (select relowner from pg_class where oid = tg_relid), 'usage') then
        raise exception 'a worker resolves by an approved proposal alone' using errcode = 'insufficient_privilege';
    end if;
    return new;
end
$$;
create trigger resolutions_follow_approval before insert on resolutions
    for each row execute function resolutions_follow_approval();

-- What people wrote about a payment goes with the payment; the audit trail stays.
-- locks: nothing; it makes a function, whose statements are run later
do $$
declare
    before constant text := pg_get_functiondef('delete_old_payments(text, interval, int, timestamptz, text)'::regprocedure);
    last constant text := 'delete from payments p where p.id = any(ids);';
    after constant text := replace(before, last, last || E'\n    delete from proposals o where o.payment_id = any(ids);');
begin
    if after = before then
        raise exception 'delete_old_payments() is not as this migration knows it';
    end if;
    execute after;
end $$;

insert into access (relation, ingress, worker, reader, console) values
    ('proposals', 'select, insert, update (state, ended_at)', 'select, update (state, ended_at, refusal_code, refusal)',
        'select', 'select, insert, update (state, ended_at, decided_by, decided_from, decided_why, decided_at)'),
    ('evidence', '', '', 'select (proposal_id, name, media, size, digest, at)', 'select, insert'),
    -- Without its id: nobody chooses a record's place in the trail.
    ('audit', 'insert (actor, via, address, key, action, merchant, payment_id, subject, why, detail)',
        'insert (actor, via, address, key, action, merchant, payment_id, subject, why, detail)', 'select',
        'select, insert (actor, via, address, key, action, merchant, payment_id, subject, why, detail)');
update access set worker = 'select, insert' where relation = 'resolutions';
select grant_access();

-- migrate:down
do $$
declare
    after constant text := pg_get_functiondef('delete_old_payments(text, interval, int, timestamptz, text)'::regprocedure);
begin
    execute replace(after, E'\n    delete from proposals o where o.payment_id = any(ids);', '');
end $$;
drop trigger resolutions_follow_approval on resolutions;
drop function resolutions_follow_approval();
update access set worker = 'select' where relation = 'resolutions';
delete from access where relation in ('proposals', 'evidence', 'audit');
drop table evidence;
drop table proposals;
drop table audit;
drop function evidence_stays();
drop function proposals_are_decided_once();
drop function audit_only_grows();
drop function may_come_from(text);
drop function works_as(text);
select grant_access();
