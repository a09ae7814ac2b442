-- Tokens that no system uses: whoever names one has what is not theirs. What makes them honey stands here alone; their
-- rows in vault.token are like any other, and the record of their making names none.
create table vault.honeytoken (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    -- As it was made; a retokenization gives the token another id and leaves this.
    token_id    text        not null,
    created_by  text        not null,
    created_at  timestamptz not null,
    primary key (merchant_id, mode, token_id)
);

-- That one was named, by whom and how. Written before the answer; what it contains is done after, and noted.
create table vault.honeytoken_use (
    merchant_id  text        not null,
    mode         text        not null check (mode in ('live', 'test')),
    event_id     text        not null,
    token_id     text        not null,
    way          text        not null check (way in ('change', 'charge', 'export', 'forward', 'read', 'reveal', 'search')),
    actor        text        not null,
    used_at      timestamptz not null,
    -- Whether the key that named it is to be ended, and when it was.
    contain      boolean     not null,
    contained_at timestamptz check (contained_at is null or (contain and contained_at >= used_at)),
    primary key (merchant_id, mode, event_id),
    foreign key (merchant_id, mode, token_id) references vault.honeytoken
);
create index honeytoken_use_of on vault.honeytoken_use (merchant_id, mode, token_id, used_at);
create index honeytoken_use_due on vault.honeytoken_use (used_at) where contain and contained_at is null;

alter table vault.honeytoken enable row level security, force row level security;
alter table vault.honeytoken_use enable row level security, force row level security;
create policy tenant on vault.honeytoken using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on vault.honeytoken_use using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

-- Each process of the vault knows every honeytoken by every id it ever had, and reads them again each second.
create policy watching on vault.honeytoken for select to strongroom_vault using (
    current_setting('strongroom.job', true) = 'honeytokens'
);
create policy watching on vault.token_alias for select to strongroom_vault using (
    current_setting('strongroom.job', true) = 'honeytokens'
);
create policy containing on vault.honeytoken_use for select to strongroom_vault using (
    current_setting('strongroom.job', true) = 'honeytokens' and contain and contained_at is null
);
