-- Webhooks both ways: what a processor told us, kept once and sealed; what we tell a merchant, and how that went.
create schema webhooks;

-- Where notices may come from: a connection's scheme and its verification secrets (several while they are rotated).
create table webhooks.source (
    merchant_id    text        not null,
    mode           text        not null check (mode in ('live', 'test')),
    connection_id  text        not null,
    scheme         text        not null,
    sealed_secrets bytea       not null,
    key_version    integer     not null,
    status         text        not null check (status in ('active', 'disabled')),
    created_at     timestamptz not null,
    updated_at     timestamptz not null,
    primary key (merchant_id, mode, connection_id)
);
create unique index source_by_connection on webhooks.source (connection_id);

-- The inbox: each event of a processor once, as it was received. `event_key` is the processor's own identity of it.
create table webhooks.notice (
    merchant_id   text        not null,
    mode          text        not null check (mode in ('live', 'test')),
    notice_id     text        not null,
    connection_id text        not null,
    event_key     text        not null,
    sealed        bytea       not null,
    key_version   integer     not null,
    state         text        not null check (state in ('kept', 'handled')),
    result        text,
    received_at   timestamptz not null,
    handled_at    timestamptz,
    primary key (merchant_id, mode, notice_id),
    -- Begins with what is nobody else's: where a table has no statistics yet, an index that begins like the primary key
    -- seems equal to it, and would be read from end to end. So with every index below.
    unique (connection_id, event_key, merchant_id, mode),
    foreign key (merchant_id, mode, connection_id) references webhooks.source,
    check ((state = 'handled') = (handled_at is not null and result is not null))
);

-- What happened, as the exact text that is delivered. Written in the transaction of the change it tells of.
create table webhooks.event (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    event_id    text        not null,
    type        text        not null,
    object_id   text        not null,
    payload     text        not null,
    created_at  timestamptz not null,
    primary key (merchant_id, mode, event_id)
);
create index event_by_object on webhooks.event (object_id, event_id);

-- Where a merchant listens. `types` empty: every type.
create table webhooks.endpoint (
    merchant_id     text        not null,
    mode            text        not null check (mode in ('live', 'test')),
    endpoint_id     text        not null,
    url             text        not null,
    description     text        not null default '',
    types           text[]      not null default '{}',
    sealed_secrets  bytea       not null,
    key_version     integer     not null,
    status          text        not null check (status in ('active', 'disabled', 'deleted')),
    disabled_reason text,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    primary key (merchant_id, mode, endpoint_id)
);

-- An event on its way to an endpoint, through its tries. To deliver it anew is another delivery.
create table webhooks.delivery (
    merchant_id  text        not null,
    mode         text        not null check (mode in ('live', 'test')),
    delivery_id  text        not null,
    event_id     text        not null,
    endpoint_id  text        not null,
    status       text        not null check (status in ('pending', 'delivered', 'failed')),
    tries        integer     not null default 0,
    created_at   timestamptz not null,
    next_at      timestamptz,
    delivered_at timestamptz,
    primary key (merchant_id, mode, delivery_id),
    foreign key (merchant_id, mode, event_id) references webhooks.event,
    foreign key (merchant_id, mode, endpoint_id) references webhooks.endpoint
);
create index delivery_by_event on webhooks.delivery (event_id, delivery_id);
create index delivery_by_endpoint on webhooks.delivery (endpoint_id, delivery_id);

-- The delivery log: a row a try. `status` is the endpoint's, null where none came; `reason` a word of ours.
create table webhooks.delivery_try (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    delivery_id text        not null,
    number      integer     not null,
    at          timestamptz not null,
    status      integer,
    reason      text        not null,
    duration_ms integer     not null,
    primary key (merchant_id, mode, delivery_id, number),
    foreign key (merchant_id, mode, delivery_id) references webhooks.delivery
);

do $$
declare
    each_table text;
begin
    foreach each_table in array array['source', 'notice', 'event', 'endpoint', 'delivery', 'delivery_try'] loop
        execute format('alter table webhooks.%I enable row level security, force row level security', each_table);
        execute format($policy$
            create policy tenant on webhooks.%I using (
                merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
            )$policy$, each_table);
    end loop;
end $$;

-- Before a notice is verified there is no tenant: whoever names a connection's id may see that one source.
create policy presented on webhooks.source for select using (
    connection_id = nullif(current_setting('strongroom.presented_connection', true), '')
);

-- A delivery's id: its event's time, and 16 random characters.
create function webhooks.new_delivery_id(event text) returns text
language sql volatile set search_path = pg_catalog as $$
    select 'dlv_' || substr(event, 5, 10)
        || string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + (get_byte(r.bytes, i) & 31), 1), '')
      from (select substr(uuid_send(gen_random_uuid()), 10) || substr(uuid_send(gen_random_uuid()), 10)
                || substr(uuid_send(gen_random_uuid()), 10) as bytes) r, generate_series(0, 15) i;
$$;

-- Write an event and a delivery with its job for each endpoint that wants its type; in the caller's transaction.
create function webhooks.publish(m text, md text, event text, event_type text, object text, body text, made timestamptz)
returns void language plpgsql set search_path = pg_catalog as $$
declare
    wanted record;
    delivery text;
begin
    insert into webhooks.event (merchant_id, mode, event_id, type, object_id, payload, created_at)
    values (m, md, event, event_type, object, body, made);
    for wanted in
        select e.endpoint_id from webhooks.endpoint e
         where e.merchant_id = m and e.mode = md and e.status = 'active'
           and (e.types = '{}' or event_type = any (e.types))
         order by e.endpoint_id
    loop
        delivery := webhooks.new_delivery_id(event);
        insert into webhooks.delivery (merchant_id, mode, delivery_id, event_id, endpoint_id, status, created_at, next_at)
        values (m, md, delivery, event, wanted.endpoint_id, 'pending', made, made);
        perform jobs.put(m, md, 'delivery', delivery, made, made);
    end loop;
end $$;

-- What it takes to deliver: for each delivery its event's text and its endpoint. The `n`th of those asked for; one that
-- is not there is absent. Look-ups are lateral: a plan made on empty tables would read a join's inner side whole.
create function webhooks.load_deliveries(ms text[], mds text[], ids text[])
returns table (n bigint, status text, tries integer, event_id text, payload text, published_at timestamptz,
               endpoint_id text, url text, endpoint_status text, sealed_secrets bytea, key_version integer)
language plpgsql volatile
set search_path = pg_catalog set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
begin
    perform set_config('strongroom.merchants', array_to_string(array(select distinct unnest(ms)), ','), true);
    return query
        select w.n, d.status, d.tries, d.event_id, e.payload, e.created_at,
               d.endpoint_id, p.url, p.status, p.sealed_secrets, p.key_version
          from unnest(ms, mds, ids) with ordinality as w (m, md, id, n)
         cross join lateral (select x.* from webhooks.delivery x
                              where x.merchant_id = w.m and x.mode = w.md and x.delivery_id = w.id limit 1) d
         cross join lateral (select x.* from webhooks.event x
                              where x.merchant_id = w.m and x.mode = w.md and x.event_id = d.event_id limit 1) e
         cross join lateral (select x.* from webhooks.endpoint x
                              where x.merchant_id = w.m and x.mode = w.md and x.endpoint_id = d.endpoint_id limit 1) p;
end $$;

-- What came of tries, a delivery at most once: the log, the delivery, and its job, which is removed or put off where the
-- claim (`job_tries`, `leases`) still stands. What was delivered stays so, whatever a second worker met. Row by row: the
-- plan of a join, made while a table was empty, would read that table whole.
create function webhooks.record_tries(ms text[], mds text[], ids text[], ats timestamptz[], statuses integer[],
                                      reasons text[], durations integer[], outcomes text[], nexts timestamptz[],
                                      job_tries integer[], leases timestamptz[])
returns void language plpgsql volatile
set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    r record;
    nth integer;
begin
    perform set_config('strongroom.merchants', array_to_string(array(select distinct unnest(ms)), ','), true);
    for r in select * from unnest(ms, mds, ids, ats, statuses, reasons, durations, outcomes, nexts, job_tries, leases)
               as t (m, md, id, at, status, reason, duration_ms, outcome, next_at, tries, lease_until)
    loop
        update webhooks.delivery d
           set tries = d.tries + 1,
               status = case d.status when 'delivered' then d.status else r.outcome end,
               next_at = case d.status when 'delivered' then null else r.next_at end,
               delivered_at = coalesce(d.delivered_at, case r.outcome when 'delivered' then r.at end)
         where d.merchant_id = r.m and d.mode = r.md and d.delivery_id = r.id
        returning d.tries into nth;
        if found then
            insert into webhooks.delivery_try (merchant_id, mode, delivery_id, number, at, status, reason, duration_ms)
            values (r.m, r.md, r.id, nth, r.at, r.status, r.reason, r.duration_ms);
        end if;
        if r.outcome <> 'pending' then
            delete from jobs.job j
             where j.merchant_id = r.m and j.mode = r.md and j.kind = 'delivery' and j.object_id = r.id
               and j.tries = r.tries and j.run_at = r.lease_until;
        else
            update jobs.job j
               set run_at = case when j.run_at = r.lease_until then r.next_at else least(j.run_at, r.next_at) end
             where j.merchant_id = r.m and j.mode = r.md and j.kind = 'delivery' and j.object_id = r.id
               and j.tries = r.tries;
        end if;
    end loop;
end $$;
