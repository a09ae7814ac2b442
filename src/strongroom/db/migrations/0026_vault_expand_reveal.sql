-- Cards that were shown: what the alarm for bursts counts, and what a caller wrote beside the stated purpose.

-- One row a reveal. The audit record says who saw which card and what for, for ever; the note is free text and stands here,
-- where it can be erased. A row goes with its token's merchant, or after 400 days.
create table vault.reveal (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    event_id    text        not null,
    token_id    text        not null,
    caller      text        not null,
    purpose     text        not null,
    note        text        check (length(note) <= 200),
    revealed_at timestamptz not null,
    primary key (merchant_id, mode, event_id)
);
create index reveal_of_caller on vault.reveal (merchant_id, mode, caller, revealed_at);
create index reveal_age on vault.reveal (revealed_at);

-- Callers who revealed too much at once, the last time of each: until when they reveal nothing, and who let them go on.
-- What they revealed before that time is not counted again.
create table vault.reveal_stop (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    caller      text        not null,
    count       integer     not null check (count > 0),
    stopped_at  timestamptz not null,
    ends_at     timestamptz not null check (ends_at >= stopped_at),
    lifted_at   timestamptz check (lifted_at >= stopped_at),
    lifted_by   text        check (lifted_by <> caller),
    primary key (merchant_id, mode, caller),
    check ((lifted_at is null) = (lifted_by is null))
);

alter table vault.reveal enable row level security, force row level security;
alter table vault.reveal_stop enable row level security, force row level security;
create policy tenant on vault.reveal using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on vault.reveal_stop using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy expiry on vault.reveal using (
    current_setting('strongroom.job', true) = 'expiry' and revealed_at < now() - interval '400 days'
);
