-- Logging in: a person's second factors, logins under way, and what is counted against guessing.

-- A person's authenticator app (RFC 6238). The one that is being set up stands beside the one in use until it has
-- shown a code. Of codes, only those of steps after `last_step` hold: each once.
create table identity.totp (
    merchant_id   text        not null,
    person_id     text        not null,
    state         text        not null check (state in ('pending', 'active')),
    sealed_secret bytea       not null,
    key_version   integer     not null,
    last_step     bigint      not null,
    created_at    timestamptz not null,
    primary key (merchant_id, person_id, state),
    foreign key (merchant_id, person_id) references identity.person
);

-- Only a keyed hash of each recovery code, bound to its person.
create table identity.recovery_code (
    merchant_id text        not null,
    person_id   text        not null,
    code_hash   bytea       not null check (length(code_hash) = 32),
    made_at     timestamptz not null,
    used_at     timestamptz,
    primary key (merchant_id, person_id, code_hash),
    foreign key (merchant_id, person_id) references identity.person
);

-- A login between its first and its second step. Every first step makes one, whether its password held (`proved`) or
-- not, and whether there is such a person or not: `account` is a person's id, or a word for addresses that nobody has.
create table identity.login (
    merchant_id text        not null,
    handle_hash bytea       not null primary key check (length(handle_hash) = 32),
    account     text        not null,
    proved      boolean     not null,
    mode        text        not null check (mode in ('live', 'test')),
    expires_at  timestamptz not null
);
create index login_expires_at on identity.login (expires_at);

-- Failures from one network (a keyed hash of its /24 or /48 and the account). From a network that is known the person
-- has logged in; strangers cannot lock it.
create table identity.login_network (
    merchant_id  text        not null,
    account      text        not null,
    network      bytea       not null check (length(network) = 32),
    failures     integer     not null,
    locked_until timestamptz,
    known_until  timestamptz,
    forget_at    timestamptz not null,
    primary key (merchant_id, account, network)
);
create index login_network_forget_at on identity.login_network (forget_at);

-- What all unknown networks together have spent of an account's guesses: one more every three minutes.
create table identity.login_account (
    merchant_id text        not null,
    account     text        not null,
    spent_until timestamptz not null,
    forget_at   timestamptz not null,
    primary key (merchant_id, account)
);
create index login_account_forget_at on identity.login_account (forget_at);

alter table identity.totp enable row level security, force row level security;
alter table identity.recovery_code enable row level security, force row level security;
alter table identity.login enable row level security, force row level security;
alter table identity.login_network enable row level security, force row level security;
alter table identity.login_account enable row level security, force row level security;

create policy tenant on identity.totp using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on identity.recovery_code using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on identity.login using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on identity.login_network using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on identity.login_account using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
-- Whoever presents a handle may see that one login.
create policy presented on identity.login for select using (
    handle_hash = decode(nullif(current_setting('strongroom.presented_login', true), ''), 'hex')
);
-- What is past is swept out, whoever's it is.
create policy past_seen on identity.login for select using (expires_at < now() - interval '1 hour');
create policy past_swept on identity.login for delete using (expires_at < now() - interval '1 hour');
create policy past_seen on identity.login_network for select using (forget_at < now() - interval '1 hour');
create policy past_swept on identity.login_network for delete using (forget_at < now() - interval '1 hour');
create policy past_seen on identity.login_account for select using (forget_at < now() - interval '1 hour');
create policy past_swept on identity.login_account for delete using (forget_at < now() - interval '1 hour');
