-- Payments: what a merchant wants, each time a processor was asked, and how much is where.
create schema payments;

-- A key whose request is under way: until `lease_until` somebody serves it; `object_id` is its payment.
alter table idempotency.request add column lease_until timestamptz;

create table payments.connection (
    merchant_id   text        not null,
    mode          text        not null check (mode in ('live', 'test')),
    connection_id text        not null,
    name          text        not null,
    processor     text        not null,
    account       text        not null,
    -- How the outcome of an attempt is found when its answer did not come.
    finding       text        not null check (finding in ('by_notice', 'by_reference', 'by_replay')),
    status        text        not null check (status in ('active', 'disabled')),
    created_at    timestamptz not null,
    updated_at    timestamptz not null,
    primary key (merchant_id, mode, connection_id),
    check (not (mode = 'live' and processor = 'simulator'))
);

create table payments.payment (
    merchant_id    text        not null,
    mode           text        not null check (mode in ('live', 'test')),
    payment_id     text        not null,
    version        integer     not null check (version >= 1),
    status         text        not null check (status in ('canceled', 'processing', 'requires_action', 'requires_capture',
                                                          'requires_confirmation', 'requires_payment_method', 'succeeded')),
    amount         bigint      not null check (amount between 1 and 999999999999),
    currency       text        not null check (length(currency) = 3),
    capture_method text        not null check (capture_method in ('automatic', 'manual')),
    token_id       text,
    brand          text,
    bin            text,
    last4          text        check (length(last4) = 4),
    connection_id  text,
    reference      text,
    metadata       jsonb       not null default '{}',
    return_url     text,
    action_url     text,
    decline_code   text,
    advice         text,
    cancel_reason  text,
    authorized     bigint      not null default 0 check (authorized >= 0),
    capturing      bigint      not null default 0 check (capturing >= 0),
    captured       bigint      not null default 0 check (captured >= 0),
    voiding        bigint      not null default 0 check (voiding >= 0),
    voided         bigint      not null default 0 check (voided >= 0),
    refunding      bigint      not null default 0 check (refunding >= 0),
    refunded       bigint      not null default 0 check (refunded >= 0),
    disputed       bigint      not null default 0 check (disputed >= 0),
    -- A processor reported what breaks the sums below. Reported money is recorded all the same; a person looks.
    discrepancy    boolean     not null default false,
    created_by     text        not null,
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    foreign key (merchant_id, mode, connection_id) references payments.connection,
    constraint money_is_not_made_capturing check (capturing + captured + voiding + voided <= authorized or discrepancy),
    constraint money_is_not_made_refunding check (refunding + refunded <= captured or discrepancy),
    constraint money_is_not_made_authorizing check (authorized <= amount or discrepancy)
);
create index payment_by_reference on payments.payment (merchant_id, mode, reference, payment_id) where reference is not null;
create index payment_by_status on payments.payment (merchant_id, mode, status, payment_id);
create index payment_by_last4 on payments.payment (merchant_id, mode, last4, payment_id) where last4 is not null;
-- Primary keys come last: where a table has no statistics yet, the planner takes the youngest of the indexes that seem
-- equal to it, and one of the others would be read from end to end.
alter table payments.payment add primary key (merchant_id, mode, payment_id);

-- Promise 6: a reservation (what we are about to ask a processor for) never grows beyond what is left, discrepancy or not.
-- The constraints above let a report through that breaks a sum; this lets no wish of ours through.
create function payments.refuse_made_money() returns trigger language plpgsql set search_path = pg_catalog as $$
declare
    before_capturing bigint := case when tg_op = 'UPDATE' then old.capturing else 0 end;
    before_voiding   bigint := case when tg_op = 'UPDATE' then old.voiding else 0 end;
    before_refunding bigint := case when tg_op = 'UPDATE' then old.refunding else 0 end;
begin
    if (new.capturing > before_capturing or new.voiding > before_voiding)
       and new.capturing + new.captured + new.voiding + new.voided > new.authorized then
        raise exception using errcode = 'check_violation', constraint = 'reservation_beyond_authorized',
                              message = 'a reservation is at most what is left of the authorization';
    end if;
    if new.refunding > before_refunding and new.refunding + new.refunded + new.disputed > new.captured then
        raise exception using errcode = 'check_violation', constraint = 'reservation_beyond_captured',
                              message = 'a reservation is at most what is left of what was captured';
    end if;
    return new;
end $$;
create trigger reservations before insert or update on payments.payment
    for each row execute function payments.refuse_made_money();

-- Each time a processor is asked, saved before it is. `wish` ties it to the merchant's request: one attempt a wish.
create table payments.attempt (
    merchant_id         text        not null,
    mode                text        not null check (mode in ('live', 'test')),
    attempt_id          text        not null,
    payment_id          text        not null,
    operation           text        not null check (operation in ('authorize', 'capture', 'refund', 'sale', 'void')),
    wish                text        not null,
    connection_id       text        not null,
    amount              bigint      not null check (amount > 0),
    currency            text        not null,
    -- Of a capture that is the last one: what is released with it.
    releases            bigint      not null default 0 check (releases >= 0),
    refund_id           text,
    -- null: asked, no answer yet
    outcome             text        check (outcome in ('approved', 'declined', 'not_sent', 'pending', 'unknown')),
    -- How the outcome is known.
    basis               text        check (basis in ('answer', 'lookup', 'notice', 'replay')),
    processor_reference text,
    settled_amount      bigint,
    decline_code        text,
    advice              text,
    reason              text,
    action_url          text,
    created_at          timestamptz not null,
    lease_until         timestamptz not null,
    settled_at          timestamptz,
    foreign key (merchant_id, mode, payment_id) references payments.payment,
    foreign key (merchant_id, mode, connection_id) references payments.connection,
    -- Begins with what is nobody else's: an index that begins like the primary key would seem equal to it.
    constraint attempt_merchant_id_mode_payment_id_wish_key unique (payment_id, wish, merchant_id, mode),
    check ((outcome is null) = (basis is null))
);
-- Promise 4: at most one authorization of a payment lives, or may live.
create unique index one_authorization on payments.attempt (merchant_id, mode, payment_id)
    where operation in ('authorize', 'sale') and (outcome is null or outcome in ('approved', 'pending', 'unknown'));
alter table payments.attempt add primary key (merchant_id, mode, attempt_id);

create table payments.refund (
    merchant_id  text        not null,
    mode         text        not null check (mode in ('live', 'test')),
    refund_id    text        not null,
    payment_id   text        not null,
    attempt_id   text        not null,
    amount       bigint      not null check (amount > 0),
    currency     text        not null,
    status       text        not null check (status in ('failed', 'pending', 'succeeded')),
    reason       text,
    reference    text,
    metadata     jsonb       not null default '{}',
    failure_code text,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    foreign key (merchant_id, mode, payment_id) references payments.payment
);
create index refund_by_payment on payments.refund (payment_id, refund_id);
alter table payments.refund add primary key (merchant_id, mode, refund_id);

do $$
declare
    each_table text;
begin
    foreach each_table in array array['connection', 'payment', 'attempt', 'refund'] loop
        execute format('alter table payments.%I enable row level security, force row level security', each_table);
        execute format($policy$
            create policy tenant on payments.%I using (
                merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
            )$policy$, each_table);
    end loop;
end $$;
-- A customer who returns from a challenge is nobody's principal: whoever names a payment's id may see that one row.
create policy presented on payments.payment for select using (
    payment_id = nullif(current_setting('strongroom.presented_payment', true), '')
);

-- A payment as decisions need it: the row, and the attempts that still matter, `also` among them. What is compared with
-- a key is a plain value: under row-level security an expression does not lead into an index, and the tenant's payments
-- would be read from end to end.
create function payments.load(m text, md text, payment text, also text) returns json
language plpgsql volatile
set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    perform set_config('strongroom.merchants', m, true);
    if payment is null then
        select a.payment_id into payment from payments.attempt a
         where a.merchant_id = m and a.mode = md and a.attempt_id = also;
    end if;
    return (
        select json_build_object(
                   'payment', row_to_json(p),
                   'attempts', coalesce((
                       select json_agg(row_to_json(a) order by a.attempt_id) from payments.attempt a
                        where a.payment_id = p.payment_id
                          and (a.attempt_id = also
                               or a.outcome is null or a.outcome in ('pending', 'unknown')
                               or (a.outcome = 'approved' and a.operation in ('authorize', 'sale')))), '[]'),
                   'refunds', coalesce((
                       select json_agg(row_to_json(r)) from payments.refund r
                        where r.payment_id = p.payment_id
                          and (r.status = 'pending' or r.attempt_id = also)), '[]'))
          from payments.payment p
         where p.merchant_id = m and p.mode = md and p.payment_id = payment);
end $$;

-- The one write of payments: each change whole or not at all, all that succeed in one commit. A change may hold:
-- the request's key (claimed, or finished), a payment (new, or the next version), attempts, refunds, events, jobs,
-- a handled notice, and always its audit records.
create function payments.save(changes jsonb) returns table (n integer, result text, kept jsonb)
language plpgsql volatile set search_path = pg_catalog as $$
declare
    c jsonb;
    at integer := -1;
    m text;
    md text;
    k jsonb;
    r jsonb;
    p payments.payment;
    moment timestamptz;
    today date := (clock_timestamp() at time zone 'utc')::date;
    found_key idempotency.request;
    broken text;
begin
    perform set_config('strongroom.merchants',
                       (select string_agg(distinct x ->> 'm', ',') from jsonb_array_elements(changes) x), true);
    -- Keys are claimed in one order by everybody, and a key by one at a time, whatever day its row is of.
    perform pg_advisory_xact_lock(x.h)
       from (select distinct hashtextextended(concat_ws(' ', e ->> 'm', e ->> 'mode', e -> 'key' ->> 'route',
                                                        e -> 'key' ->> 'key'), 0) as h
               from jsonb_array_elements(changes) e where e -> 'key' <> 'null' order by 1) x;
    for c in select * from jsonb_array_elements(changes) loop
        at := at + 1;
        m := c ->> 'm';
        md := c ->> 'mode';
        moment := (c ->> 'now')::timestamptz;
        begin
            k := c -> 'key';
            if k <> 'null' then
                select q.* into found_key from idempotency.request q
                 where q.merchant_id = m and q.mode = md and q.route = k ->> 'route' and q.key = k ->> 'key'
                   and q.day >= today - 1
                 order by q.day desc limit 1;
                if found then
                    n := at; result := 'replay';
                    kept := jsonb_build_object('fingerprint', encode(found_key.fingerprint, 'hex'), 'status', found_key.status,
                                               'object_id', found_key.object_id, 'claim', found_key.claim,
                                               'lease_until', found_key.lease_until,
                                               'response', convert_from(found_key.response, 'utf8'));
                    return next;
                    continue;
                end if;
                insert into idempotency.request
                       (day, merchant_id, mode, route, key, claim, fingerprint, status, object_id, response, lease_until)
                values (today, m, md, k ->> 'route', k ->> 'key', k ->> 'claim', decode(k ->> 'fingerprint', 'hex'),
                        (k ->> 'status')::integer, k ->> 'object_id', convert_to(k ->> 'response', 'utf8'),
                        (k ->> 'lease_until')::timestamptz);
            end if;
            if c -> 'payment' <> 'null' then
                p := jsonb_populate_record(null::payments.payment, c -> 'payment');
                if p.version = 1 then
                    insert into payments.payment select p.*;
                else
                    update payments.payment o
                       set (version, status, capture_method, token_id, brand, bin, last4, connection_id, return_url, action_url,
                            decline_code, advice, cancel_reason, authorized, capturing, captured, voiding, voided,
                            refunding, refunded, disputed, discrepancy, updated_at)
                         = (p.version, p.status, p.capture_method, p.token_id, p.brand, p.bin, p.last4, p.connection_id,
                            p.return_url, p.action_url, p.decline_code, p.advice, p.cancel_reason, p.authorized,
                            p.capturing, p.captured, p.voiding, p.voided, p.refunding, p.refunded, p.disputed,
                            p.discrepancy, p.updated_at)
                     where o.merchant_id = m and o.mode = md and o.payment_id = p.payment_id
                       and o.version = p.version - 1;
                    if not found then
                        raise exception using errcode = 'P0001', message = 'stale';
                    end if;
                end if;
            end if;
            for r in select * from jsonb_array_elements(c -> 'attempts') loop
                insert into payments.attempt as o select (jsonb_populate_record(null::payments.attempt, r)).*
                    on conflict (merchant_id, mode, attempt_id) do update
                   set outcome = excluded.outcome, basis = excluded.basis,
                       processor_reference = excluded.processor_reference, settled_amount = excluded.settled_amount,
                       decline_code = excluded.decline_code, advice = excluded.advice, reason = excluded.reason,
                       action_url = excluded.action_url, lease_until = excluded.lease_until,
                       settled_at = excluded.settled_at;
            end loop;
            for r in select * from jsonb_array_elements(c -> 'refunds') loop
                insert into payments.refund as o select (jsonb_populate_record(null::payments.refund, r)).*
                    on conflict (merchant_id, mode, refund_id) do update
                   set status = excluded.status, failure_code = excluded.failure_code, updated_at = excluded.updated_at;
            end loop;
            for r in select * from jsonb_array_elements(c -> 'jobs') loop
                if r ->> 'run_at' is null then
                    delete from jobs.job j where j.merchant_id = m and j.mode = md and j.kind = r ->> 'kind'
                       and j.object_id = r ->> 'object_id';
                else
                    insert into jobs.job (merchant_id, mode, kind, object_id, run_at, made_at)
                    values (m, md, r ->> 'kind', r ->> 'object_id', (r ->> 'run_at')::timestamptz, moment)
                        on conflict (merchant_id, mode, kind, object_id) do update set run_at = excluded.run_at;
                end if;
            end loop;
            for r in select * from jsonb_array_elements(c -> 'events') loop
                perform webhooks.publish(m, md, r ->> 'id', r ->> 'type', r ->> 'object_id', r ->> 'payload', moment);
            end loop;
            if c -> 'notice' <> 'null' then
                update webhooks.notice w set state = 'handled', result = c -> 'notice' ->> 'result', handled_at = moment
                 where w.merchant_id = m and w.mode = md and w.notice_id = c -> 'notice' ->> 'id' and w.state = 'kept';
            end if;
            if c -> 'done' <> 'null' then
                update idempotency.request q
                   set status = (c -> 'done' ->> 'status')::integer, lease_until = null,
                       object_id = coalesce(c -> 'done' ->> 'object_id', q.object_id),
                       response = convert_to(c -> 'done' ->> 'response', 'utf8')
                 where q.merchant_id = m and q.mode = md and q.route = c -> 'done' ->> 'route'
                   and q.key = c -> 'done' ->> 'key' and q.day >= today - 2;
            end if;
            insert into audit.event (event_id, merchant_id, mode, payload, leaf_hash, row_mac)
            select e ->> 'id', e ->> 'm', e ->> 'mode', convert_to(e ->> 'payload', 'utf8'), decode(e ->> 'leaf', 'hex'),
                   decode(e ->> 'mac', 'hex')
              from jsonb_array_elements(c -> 'audit') e;
            n := at; result := 'saved'; kept := null;
            return next;
        exception
            when raise_exception then
                n := at; result := 'stale'; kept := null;
                return next;
            when check_violation or unique_violation or foreign_key_violation or not_null_violation then
                get stacked diagnostics broken = constraint_name;
                n := at; result := 'broken'; kept := to_jsonb(broken);
                return next;
        end;
    end loop;
end $$;
