-- A batch of changes saved table by table: the common case, in which nothing stands against any of them.

-- Write events, and a delivery with its job for each endpoint that wants one; in the caller's transaction. As
-- `webhooks.publish` does for one. Look-ups are lateral: a plan made on empty tables would read the endpoints whole.
create function webhooks.publish_all(events jsonb) returns void
language plpgsql
set search_path = pg_catalog set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    with given as materialized (
        select * from jsonb_to_recordset(events)
            as e (m text, mode text, id text, type text, object_id text, payload text, made timestamptz)
    ), written as (
        insert into webhooks.event (merchant_id, mode, event_id, type, object_id, payload, created_at)
        select m, mode, id, type, object_id, payload, made from given
    ), sent as (
        insert into webhooks.delivery
               (merchant_id, mode, delivery_id, event_id, endpoint_id, status, created_at, next_at)
        select g.m, g.mode, webhooks.new_delivery_id(g.id), g.id, p.endpoint_id, 'pending', g.made, g.made
          from given g
         cross join lateral (select e.endpoint_id from webhooks.endpoint e
                              where e.merchant_id = g.m and e.mode = g.mode and e.status = 'active'
                                and (e.types = '{}' or g.type = any (e.types))
                              order by e.endpoint_id) p
        returning merchant_id, mode, delivery_id, created_at
    )
    insert into jobs.job (merchant_id, mode, kind, object_id, run_at, made_at)
    select merchant_id, mode, 'delivery', delivery_id, created_at, created_at from sent;
end $$;

-- Saves all changes of a batch or none. False: something stands against one of them (its payment has moved on, its key
-- is taken, a constraint refuses it) and nothing was written; `payments.save` then tells which, change by change. The
-- rows come by table and in the order of their changes, so that two batches lock payments in one order. What is changed
-- is looked for row by row: a join's plan, made while a table was empty, would read that table whole.
create function payments.save_together(rows jsonb) returns boolean
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
