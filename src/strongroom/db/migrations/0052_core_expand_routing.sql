-- Which connection a payment is charged through. A version of a merchant's rules is written once and never changed;
-- which one holds is a row of its own, so that going back is one step.
create table payments.routing_rules (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    version     integer     not null check (version >= 1),
    rules       jsonb       not null,
    note        text        check (length(note) <= 200),
    made_by     text        not null,
    made_at     timestamptz not null,
    primary key (merchant_id, mode, version)
);

create table payments.routing_active (
    merchant_id  text        not null,
    mode         text        not null check (mode in ('live', 'test')),
    version      integer     not null,
    activated_by text        not null,
    activated_at timestamptz not null,
    primary key (merchant_id, mode),
    foreign key (merchant_id, mode, version) references payments.routing_rules
);

-- What a merchant knows of issuers: the first six digits of their cards, from one number to another.
create table payments.bin_range (
    merchant_id text    not null,
    mode        text    not null check (mode in ('live', 'test')),
    first_bin   integer not null check (first_bin between 0 and 999999),
    last_bin    integer not null check (last_bin between first_bin and 999999),
    country     text    not null check (country = 'unknown' or country ~ '^[A-Z]{2}$'),
    funding     text    not null check (funding in ('credit', 'debit', 'prepaid', 'unknown')),
    primary key (merchant_id, mode, first_bin)
);

do $$
declare
    each_table text;
begin
    foreach each_table in array array['routing_rules', 'routing_active', 'bin_range'] loop
        execute format('alter table payments.%I enable row level security, force row level security', each_table);
        execute format($policy$
            create policy tenant on payments.%I using (
                merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
            )$policy$, each_table);
    end loop;
end $$;
