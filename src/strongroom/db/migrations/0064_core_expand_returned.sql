-- What customers bring back from a challenge, where their processor wants it handed on. Opaque words of the processor's,
-- named by whoever knows a payment's id: they prove nothing until the processor has read them.
create table payments.returned (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    attempt_id  text        not null,
    digest      text        not null check (length(digest) = 64),
    result      text        not null check (length(result) between 1 and 8000),
    returned_at timestamptz not null,
    foreign key (merchant_id, mode, attempt_id) references payments.attempt,
    primary key (merchant_id, mode, attempt_id, digest)
);
alter table payments.returned enable row level security, force row level security;
create policy tenant on payments.returned using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
