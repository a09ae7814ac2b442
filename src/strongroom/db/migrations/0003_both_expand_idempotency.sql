-- Idempotency keys: what a repeat is answered with. Public fields only. A day a partition, so that
-- retention drops a partition; a repeat is looked for on its own day and the day before (24 to 48 hours).
create schema idempotency;

create table idempotency.request (
    day         date    not null,
    merchant_id text    not null,
    mode        text    not null check (mode in ('live', 'test')),
    route       text    not null,
    key         text    not null,
    claim       text    not null,                     -- which of two racing writers this row belongs to
    fingerprint bytea   not null check (length(fingerprint) = 32),
    status      integer not null,
    object_id   text,
    response    bytea   not null,
    primary key (merchant_id, mode, route, key, day)
) partition by range (day);

alter table idempotency.request enable row level security, force row level security;
create policy tenant on idempotency.request using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

-- Partitions are made ahead and dropped by the owner's function, so that no login owns a table.
create function idempotency.keep_partitions(days_ahead integer, days_kept integer) returns integer
language plpgsql security definer set search_path = pg_catalog as $$
declare
    today date := (clock_timestamp() at time zone 'utc')::date;
    each_day date;
    old record;
    changed integer := 0;
begin
    for each_day in select generate_series(today - 1, today + days_ahead, interval '1 day')::date loop
        if to_regclass(format('idempotency.request_%s', to_char(each_day, 'YYYYMMDD'))) is null then
            execute format('create table idempotency.%I partition of idempotency.request for values from (%L) to (%L)',
                           'request_' || to_char(each_day, 'YYYYMMDD'), each_day, each_day + 1);
            -- Nobody has a right on a partition itself; should anybody be given one, they see nothing.
            execute format('alter table idempotency.%I enable row level security, force row level security',
                           'request_' || to_char(each_day, 'YYYYMMDD'));
            changed := changed + 1;
        end if;
    end loop;
    for old in
        select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid
         where i.inhparent = 'idempotency.request'::regclass
           and c.relname < 'request_' || to_char(today - greatest(days_kept, 2), 'YYYYMMDD')
    loop
        execute format('drop table idempotency.%I', old.relname);
        changed := changed + 1;
    end loop;
    return changed;
end $$;
