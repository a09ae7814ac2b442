-- Customers of a merchant, the cards that they saved, and what they agreed to. What is personal is sealed; an erased
-- customer's row stays for the payments that name it, and says nothing of who it was.
create table payments.customer (
    merchant_id     text        not null,
    mode            text        not null check (mode in ('live', 'test')),
    customer_id     text        not null,
    status          text        not null check (status in ('active', 'erased')),
    reference       text,
    metadata        jsonb       not null default '{}',
    sealed_personal bytea,
    key_version     integer,
    created_at      timestamptz not null,
    updated_at      timestamptz not null,
    check ((sealed_personal is null) = (key_version is null)),
    constraint erased_says_nothing
        check (status = 'active' or reference is null and metadata = '{}' and sealed_personal is null)
);
create index customer_by_reference on payments.customer (merchant_id, mode, reference, customer_id) where reference is not null;
alter table payments.customer add primary key (merchant_id, mode, customer_id);

create table payments.saved_card (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    customer_id text        not null,
    token_id    text        not null,
    brand       text        not null,
    bin         text        not null,
    last4       text        not null check (length(last4) = 4),
    exp_month   smallint    not null,
    exp_year    smallint    not null,
    is_default  boolean     not null,
    created_at  timestamptz not null,
    foreign key (merchant_id, mode, customer_id) references payments.customer
);
create unique index one_default_card on payments.saved_card (merchant_id, mode, customer_id) where is_default;
alter table payments.saved_card add primary key (merchant_id, mode, customer_id, token_id);

create table payments.mandate (
    merchant_id     text        not null,
    mode            text        not null check (mode in ('live', 'test')),
    mandate_id      text        not null,
    customer_id     text        not null,
    token_id        text        not null,
    status          text        not null check (status in ('active', 'revoked')),
    method          text        not null check (method in ('app', 'in_person', 'paper', 'phone', 'web')),
    text_version    text        not null,
    agreed_at       timestamptz not null,
    sealed_evidence bytea,
    key_version     integer,
    created_at      timestamptz not null,
    revoked_at      timestamptz,
    check ((sealed_evidence is null) = (key_version is null)),
    check ((status = 'revoked') = (revoked_at is not null)),
    foreign key (merchant_id, mode, customer_id) references payments.customer
);
create index mandate_by_token on payments.mandate (merchant_id, mode, token_id);
create index mandate_by_customer on payments.mandate (merchant_id, mode, customer_id, mandate_id);
alter table payments.mandate add primary key (merchant_id, mode, mandate_id);

-- What a merchant revoked stays revoked, whoever asks and under whatever login.
create function payments.refuse_revival() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
    if old.status in ('revoked', 'erased') and new.status <> old.status then
        raise exception 'what has ended stays ended' using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;
create trigger stays_revoked before update of status on payments.mandate
    for each row execute function payments.refuse_revival();
create trigger stays_erased before update of status on payments.customer
    for each row execute function payments.refuse_revival();

-- Whether, and when, what a merchant began is tried again after a soft decline. No row: it is not.
create table payments.retry_policy (
    merchant_id  text        not null,
    mode         text        not null check (mode in ('live', 'test')),
    enabled      boolean     not null,
    -- Hours from one decline to the next try; as many tries as there are.
    delays_hours integer[]   not null check (cardinality(delays_hours) between 1 and 10),
    updated_at   timestamptz not null,
    primary key (merchant_id, mode)
);

do $$
declare
    each_table text;
begin
    foreach each_table in array array['customer', 'saved_card', 'mandate', 'retry_policy'] loop
        execute format('alter table payments.%I enable row level security, force row level security', each_table);
        execute format($policy$
            create policy tenant on payments.%I using (
                merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
            )$policy$, each_table);
    end loop;
end $$;

-- Who pays, and when it is tried again. Of what a merchant begins, the attempt says with which card: schemes count those.
alter table payments.payment
    add column customer_id text,
    add column retry_at timestamptz,
    add foreign key (merchant_id, mode, customer_id) references payments.customer;
alter table payments.attempt add column token_id text;
create index attempt_by_card on payments.attempt (merchant_id, mode, token_id, created_at) where token_id is not null;

-- Jobs of another kind, and the functions that save payments learn of `retry_at`, where they stand, so that whatever else
-- they allow and do by now stays.
do $$
declare
    each record;
    body text;
    changed text;
begin
    select pg_get_constraintdef(oid) into strict body from pg_constraint
     where conrelid = 'jobs.job'::regclass and conname = 'job_kind_check';
    changed := replace(body, '''notice''::text', '''notice''::text, ''retry''::text');
    if changed = body then
        raise exception 'the check of kinds is not as it was';
    end if;
    execute 'alter table jobs.job drop constraint job_kind_check, add constraint job_kind_check ' || changed;
    for each in select * from (values ('payments.save(jsonb)'), ('payments.save_together(jsonb)')) as f (name) loop
        body := pg_get_functiondef(each.name::regprocedure);
        changed := regexp_replace(body, 'discrepancy, updated_at\)', 'discrepancy, updated_at, retry_at)');
        changed := regexp_replace(changed, 'p\.discrepancy, p\.updated_at\)', 'p.discrepancy, p.updated_at, p.retry_at)');
        if length(changed) <> length(body) + length(', retry_at') + length(', p.retry_at') then
            raise exception '% does not save payments as it did', each.name;
        end if;
        execute changed;
    end loop;
end $$;
