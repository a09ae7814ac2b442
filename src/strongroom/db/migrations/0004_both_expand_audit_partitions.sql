-- A month of audit records a partition, bounded by the smallest id of the month (kernel.ids.id_floor).
create function audit.id_floor(moment timestamptz) returns text
language plpgsql immutable set search_path = pg_catalog as $$
declare
    -- The first ten of an id's 26 characters (50 of 130 bits) are its milliseconds.
    value numeric := floor(extract(epoch from moment) * 1000);
    alphabet constant text := '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
    printed text := '';
begin
    for i in 1..10 loop
        printed := substr(alphabet, 1 + (value % 32)::integer, 1) || printed;
        value := div(value, 32);
    end loop;
    return 'aud_' || printed || repeat('0', 16);
end $$;

create function audit.keep_partitions(months_ahead integer) returns integer
language plpgsql security definer set search_path = pg_catalog as $$
declare
    month timestamptz;
    changed integer := 0;
begin
    for month in
        select generate_series(date_trunc('month', clock_timestamp() at time zone 'utc') - interval '1 month',
                               date_trunc('month', clock_timestamp() at time zone 'utc')
                                   + make_interval(months => months_ahead), interval '1 month') at time zone 'utc'
    loop
        if to_regclass(format('audit.event_%s', to_char(month at time zone 'utc', 'YYYYMM'))) is null then
            execute format('create table audit.%I partition of audit.event for values from (%L) to (%L)',
                           'event_' || to_char(month at time zone 'utc', 'YYYYMM'),
                           audit.id_floor(month),
                           audit.id_floor((month at time zone 'utc' + interval '1 month') at time zone 'utc'));
            -- Nobody has a right on a partition itself; should anybody be given one, they see nothing.
            execute format('alter table audit.%I enable row level security, force row level security',
                           'event_' || to_char(month at time zone 'utc', 'YYYYMM'));
            changed := changed + 1;
        end if;
    end loop;
    return changed;
end $$;
