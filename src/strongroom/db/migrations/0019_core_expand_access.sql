-- Four eyes: what one person asked for and another decides. The request itself is not kept, only a keyed fingerprint of
-- it. A row is made by whichever listener was asked, decided at the console, and used once by the listener again:
-- `used_at` is all that the other listeners may set.
create table identity.approval (
    merchant_id  text        not null,
    approval_id  text        not null,
    mode         text        not null check (mode in ('live', 'test')),
    action       text        not null,
    listener     text        not null,
    method       text        not null,
    route        text        not null,
    object_id    text,
    fingerprint  bytea       not null check (length(fingerprint) = 32),
    requested_by text        not null,
    requested_at timestamptz not null,
    expires_at   timestamptz not null,
    state        text        not null default 'pending'
                 check (state in ('pending', 'approved', 'denied', 'withdrawn', 'expired')),
    decided_by   text,
    decided_at   timestamptz,
    reason       text        check (length(reason) <= 500),
    used_at      timestamptz,
    primary key (merchant_id, approval_id),
    -- The last wall: whatever the code does, nobody approves their own, and only what was approved is used, in time.
    check (decided_by is null or decided_by <> requested_by),
    check (state not in ('approved', 'denied') or decided_by is not null),
    check (used_at is null or (state = 'approved' and used_at < expires_at))
);
create index approval_open on identity.approval (merchant_id, requested_by) where state in ('pending', 'approved');
create index approval_ends on identity.approval (expires_at) where state in ('pending', 'approved');

-- Named permissions for at most an hour, with a reason; each use is looked at afterwards.
create table identity.break_glass (
    merchant_id    text        not null,
    break_glass_id text        not null,
    mode           text        not null check (mode in ('live', 'test')),
    person_id      text        not null,
    session_id     text        not null,
    permissions    text[]      not null check (cardinality(permissions) between 1 and 5),
    reason         text        not null check (length(reason) between 10 and 500),
    started_at     timestamptz not null,
    expires_at     timestamptz not null,
    -- Once, with another person's approval.
    extended_at    timestamptz,
    ended_at       timestamptz,
    ended_by       text,
    primary key (merchant_id, break_glass_id),
    check (expires_at > started_at and expires_at <= coalesce(extended_at, started_at) + interval '60 minutes')
);
create unique index break_glass_open on identity.break_glass (merchant_id, person_id) where ended_at is null;
create index break_glass_ends on identity.break_glass (expires_at) where ended_at is null;

-- Who could do what on a day, and what a reviewer said of each.
create table identity.access_review (
    merchant_id text        not null,
    review_id   text        not null,
    started_by  text        not null,
    started_at  timestamptz not null,
    closed_at   timestamptz,
    primary key (merchant_id, review_id)
);
create unique index access_review_one_open on identity.access_review (merchant_id) where closed_at is null;

create table identity.access_item (
    merchant_id  text        not null,
    review_id    text        not null,
    subject      text        not null,
    kind         text        not null check (kind in ('break_glass', 'key', 'person', 'service')),
    -- Whose decision it must not be: the person it is about.
    person_id    text,
    description  text        not null,
    permissions  text[]      not null,
    made_at      timestamptz not null,
    last_used_at timestamptz,
    unused       boolean     not null,
    decision     text        check (decision in ('keep', 'change', 'remove')),
    decided_by   text,
    decided_at   timestamptz,
    primary key (merchant_id, review_id, subject),
    foreign key (merchant_id, review_id) references identity.access_review,
    check ((decision is null) = (decided_by is null)),
    check (decided_by is null or person_id is null or decided_by <> person_id)
);

-- To the minute, and never later than it was: written by the processes that saw the key, once a minute.
alter table identity.api_key add column last_used_at timestamptz;

alter table identity.approval enable row level security, force row level security;
alter table identity.break_glass enable row level security, force row level security;
alter table identity.access_review enable row level security, force row level security;
alter table identity.access_item enable row level security, force row level security;
create policy tenant on identity.approval using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on identity.break_glass using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on identity.access_review using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on identity.access_item using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

-- The jobs that end what is over look every second for whose it is; what they then change, they change as that tenant.
create policy expiry on identity.approval for select to strongroom_console using (
    current_setting('strongroom.job', true) = 'expiry' and state in ('pending', 'approved') and used_at is null
);
create policy expiry on identity.break_glass for select to strongroom_console using (
    current_setting('strongroom.job', true) = 'expiry' and ended_at is null
);
