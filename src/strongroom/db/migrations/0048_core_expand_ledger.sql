-- The ledger: every amount that an attempt moved, from one account to another. Rows are added in the transaction that
-- saves the attempt, and nobody may change or remove one.
create table payments.posting (
    merchant_id   text        not null,
    mode          text        not null check (mode in ('live', 'test')),
    payment_id    text        not null,
    -- The attempt, the payment's version and the move, so that a fact is posted once; or the opening of the books.
    cause         text        not null,
    debit         text        not null check (debit in ('authorizations', 'holds', 'receivable', 'refunds', 'sales')),
    credit        text        not null check (credit in ('authorizations', 'holds', 'receivable', 'refunds', 'sales')),
    amount        bigint      not null check (amount > 0),
    currency      text        not null check (length(currency) = 3),
    connection_id text        not null,
    made_at       timestamptz not null,
    check (debit <> credit),
    foreign key (merchant_id, mode, payment_id) references payments.payment
);
create index posting_by_moment on payments.posting (merchant_id, mode, made_at, payment_id, cause);
alter table payments.posting add primary key (merchant_id, mode, payment_id, cause);
alter table payments.posting enable row level security, force row level security;
create policy tenant on payments.posting using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

-- The check over every tenant's books reads both tables and changes none.
create policy books on payments.posting for select using (current_setting('strongroom.job', true) = 'books');
create policy books on payments.payment for select using (current_setting('strongroom.job', true) = 'books');

-- What payments hold that were there before the ledger was: its opening.
alter table payments.payment no force row level security;
alter table payments.posting no force row level security;
insert into payments.posting
select p.merchant_id, p.mode, p.payment_id, 'opening:' || o.word, o.debit, o.credit, o.amount, p.currency, p.connection_id,
       p.updated_at
  from payments.payment p
 cross join lateral (values ('authorize', 'holds', 'authorizations', p.authorized),
                            ('release', 'authorizations', 'holds', p.captured + p.voided),
                            ('capture', 'receivable', 'sales', p.captured),
                            ('refund', 'refunds', 'receivable', p.refunded)) as o (word, debit, credit, amount)
 where o.amount > 0 and p.connection_id is not null;
alter table payments.posting force row level security;
alter table payments.payment force row level security;

-- As in the migration before, with postings among what is saved.
create or replace function payments.save(changes jsonb) returns table (n integer, result text, kept jsonb)
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
            -- A process of the release before says nothing of postings.
            insert into payments.posting
            select * from jsonb_populate_recordset(null::payments.posting, coalesce(c -> 'postings', '[]'));
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

create or replace function payments.save_together(rows jsonb) returns boolean
language plpgsql volatile
set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    today date := (clock_timestamp() at time zone 'utc')::date;
    written bigint;
    p payments.payment;
    r record;
begin
    perform set_config('strongroom.merchants', rows ->> 'merchants', true);
    if rows ? 'keys' then
        -- As in `payments.save`: keys are claimed in one order by everybody, and a key by one at a time.
        perform pg_advisory_xact_lock(x.h)
           from (select distinct hashtextextended(concat_ws(' ', k ->> 'm', k ->> 'mode', k ->> 'route', k ->> 'key'), 0)
                                 as h
                   from jsonb_array_elements(rows -> 'keys') k order by 1) x;
    end if;
    begin
        if rows ? 'keys' then
            -- Days are bounded on both sides, so that the partitions made ahead are not opened. One who waited for a
            -- key's lock over midnight finds a row of the next day.
            insert into idempotency.request
                   (day, merchant_id, mode, route, key, claim, fingerprint, status, object_id, response, lease_until)
            select today, k.m, k.mode, k.route, k.key, k.claim, decode(k.fingerprint, 'hex'), k.status, k.object_id,
                   convert_to(k.response, 'utf8'), k.lease_until
              from jsonb_to_recordset(rows -> 'keys')
                   as k (m text, mode text, route text, key text, claim text, fingerprint text, status integer,
                         object_id text, response text, lease_until timestamptz)
             where (select q.day from idempotency.request q
                     where q.merchant_id = k.m and q.mode = k.mode and q.route = k.route and q.key = k.key
                       and q.day between today - 1 and today + 1 limit 1) is null;
            get diagnostics written = row_count;
            if written <> jsonb_array_length(rows -> 'keys') then
                raise exception using errcode = 'P0001', message = 'a key is taken';
            end if;
        end if;
        if rows ? 'made' then
            insert into payments.payment
            select * from jsonb_populate_recordset(null::payments.payment, rows -> 'made');
        end if;
        if rows ? 'moved' then
            for p in select * from jsonb_populate_recordset(null::payments.payment, rows -> 'moved') loop
                update payments.payment o
                   set (version, status, capture_method, token_id, brand, bin, last4, connection_id, return_url, action_url,
                        decline_code, advice, cancel_reason, authorized, capturing, captured, voiding, voided,
                        refunding, refunded, disputed, discrepancy, updated_at)
                     = (p.version, p.status, p.capture_method, p.token_id, p.brand, p.bin, p.last4, p.connection_id,
                        p.return_url, p.action_url, p.decline_code, p.advice, p.cancel_reason, p.authorized,
                        p.capturing, p.captured, p.voiding, p.voided, p.refunding, p.refunded, p.disputed,
                        p.discrepancy, p.updated_at)
                 where o.merchant_id = p.merchant_id and o.mode = p.mode and o.payment_id = p.payment_id
                   and o.version = p.version - 1;
                if not found then
                    raise exception using errcode = 'P0001', message = 'a payment has moved on';
                end if;
            end loop;
        end if;
        if rows ? 'attempts' then
            insert into payments.attempt
            select * from jsonb_populate_recordset(null::payments.attempt, rows -> 'attempts')
                on conflict (merchant_id, mode, attempt_id) do update
               set outcome = excluded.outcome, basis = excluded.basis,
                   processor_reference = excluded.processor_reference, settled_amount = excluded.settled_amount,
                   decline_code = excluded.decline_code, advice = excluded.advice, reason = excluded.reason,
                   action_url = excluded.action_url, lease_until = excluded.lease_until,
                   settled_at = excluded.settled_at;
        end if;
        if rows ? 'refunds' then
            insert into payments.refund
            select * from jsonb_populate_recordset(null::payments.refund, rows -> 'refunds')
                on conflict (merchant_id, mode, refund_id) do update
               set status = excluded.status, failure_code = excluded.failure_code, updated_at = excluded.updated_at;
        end if;
        if rows ? 'postings' then
            insert into payments.posting
            select * from jsonb_populate_recordset(null::payments.posting, rows -> 'postings');
        end if;
        if rows ? 'jobs_gone' then
            for r in select * from jsonb_to_recordset(rows -> 'jobs_gone') as g (m text, mode text, kind text, object_id text)
            loop
                delete from jobs.job j
                 where j.merchant_id = r.m and j.mode = r.mode and j.kind = r.kind and j.object_id = r.object_id;
            end loop;
        end if;
        if rows ? 'jobs_put' then
            insert into jobs.job (merchant_id, mode, kind, object_id, run_at, made_at)
            select m, mode, kind, object_id, run_at, made
              from jsonb_to_recordset(rows -> 'jobs_put')
                   as p (m text, mode text, kind text, object_id text, run_at timestamptz, made timestamptz)
                on conflict (merchant_id, mode, kind, object_id) do update set run_at = excluded.run_at;
        end if;
        if rows ? 'events' then
            perform webhooks.publish_all(rows -> 'events');
        end if;
        if rows ? 'notices' then
            for r in select * from jsonb_to_recordset(rows -> 'notices')
                       as h (m text, mode text, id text, result text, at timestamptz)
            loop
                update webhooks.notice w set state = 'handled', result = r.result, handled_at = r.at
                 where w.merchant_id = r.m and w.mode = r.mode and w.notice_id = r.id and w.state = 'kept';
            end loop;
        end if;
        if rows ? 'done' then
            for r in select * from jsonb_to_recordset(rows -> 'done')
                       as d (m text, mode text, route text, key text, status integer, object_id text, response text)
            loop
                update idempotency.request q
                   set status = r.status, lease_until = null, object_id = coalesce(r.object_id, q.object_id),
                       response = convert_to(r.response, 'utf8')
                 where q.merchant_id = r.m and q.mode = r.mode and q.route = r.route and q.key = r.key
                   and q.day between today - 2 and today + 1;
            end loop;
        end if;
        insert into audit.event (event_id, merchant_id, mode, payload, leaf_hash, row_mac)
        select id, m, mode, convert_to(payload, 'utf8'), decode(leaf, 'hex'), decode(mac, 'hex')
          from jsonb_to_recordset(rows -> 'audit') as a (id text, m text, mode text, payload text, leaf text, mac text);
    exception
        when raise_exception or check_violation or unique_violation or foreign_key_violation or not_null_violation
             or cardinality_violation then
            return false;
    end;
    return true;
end $$;
