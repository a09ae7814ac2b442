-- Erasure: what is deleted is gone when the key version that sealed it is destroyed, and the last backup of that key too.
-- A row says what was deleted, up to which version of the card key it was sealed, and how far its erasure is.
create table vault.erasure (
    merchant_id  text        not null,
    mode         text        not null check (mode in ('live', 'test')),
    erasure_id   text        not null,
    scope        text        not null check (scope in ('token', 'customer', 'merchant', 'deleted')),
    state        text        not null check (state in ('waiting', 'rotating', 'destroyed')),
    tokens       bigint      not null check (tokens >= 0),
    -- This version of the card key and all before it are to be destroyed.
    key_version  integer     not null check (key_version >= 0),
    requested_by text        not null,
    requested_at timestamptz not null,
    -- No later than this the key is rotated.
    rotate_at    timestamptz not null,
    -- The next look.
    look_at      timestamptz not null,
    destroyed_at timestamptz,
    -- The day on which the last backup of the key is gone; until the key is destroyed, when that is expected.
    complete_at  timestamptz not null,
    problem      text,
    primary key (erasure_id, merchant_id, mode)
);
-- Tokens that are deleted otherwise (by their owner, by time) share one erasure until it begins.
create unique index erasure_shared on vault.erasure (merchant_id, mode) where scope = 'deleted' and state = 'waiting';
create index erasure_due on vault.erasure (look_at) where state <> 'destroyed';
create index erasure_of_tenant on vault.erasure (merchant_id, mode, erasure_id);
create index token_of_customer on vault.token (merchant_id, mode, (metadata ->> 'customer')) where metadata ? 'customer';

alter table vault.erasure enable row level security, force row level security;
create policy tenant on vault.erasure using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
-- The vault's own work looks over every tenant's, and goes on as that tenant.
create policy work on vault.erasure for select using (current_setting('strongroom.job', true) = 'erasure');

-- An id of now: the prefix, 10 characters of milliseconds and 16 of chance, in Crockford's base 32.
create function vault.new_erasure_id() returns text
language plpgsql volatile set search_path = pg_catalog as $$
declare
    alphabet constant text := '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
    stamp    bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint;
    chance   bytea := uuid_send(gen_random_uuid());
    printed  text := '';
begin
    for place in reverse 9..0 loop
        printed := printed || substr(alphabet, ((stamp >> (5 * place)) & 31)::integer + 1, 1);
    end loop;
    for place in 0..15 loop
        printed := printed || substr(alphabet, (get_byte(chance, place) & 31) + 1, 1);
    end loop;
    return 'ers_' || printed;
end $$;

-- Whatever deletes tokens, the version that sealed them is scheduled to be destroyed, in the same transaction. An erasure
-- that was asked for by name states itself; then this adds nothing. Seven days: many deletions share one rotation.
create function vault.note_deleted() returns trigger
language plpgsql as $$
begin
    if coalesce(current_setting('strongroom.erasing', true), '') <> '' then
        return null;
    end if;
    insert into vault.erasure as e (merchant_id, mode, erasure_id, scope, state, tokens, key_version, requested_by,
                                    requested_at, rotate_at, look_at, complete_at)
    select g.merchant_id, g.mode, vault.new_erasure_id(), 'deleted', 'waiting', count(*),
           greatest(max(g.key_version),
                    (select coalesce(max(k.version), 0) from keys.data_key k
                      where k.merchant_id = g.merchant_id and k.mode = g.mode and k.name = 'card')),
           'system:deleted', now(), now() + interval '7 days', now() + interval '7 days',
           now() + interval '42 days'
      from gone g
     group by g.merchant_id, g.mode
        on conflict (merchant_id, mode) where scope = 'deleted' and state = 'waiting'
        do update set tokens = e.tokens + excluded.tokens, key_version = greatest(e.key_version, excluded.key_version);
    return null;
end $$;
create trigger note_deleted after delete on vault.token
    referencing old table as gone for each statement execute function vault.note_deleted();

-- What was written of a reveal goes with its token's erasure.
create index reveal_of_token on vault.reveal (merchant_id, mode, token_id);

-- Retention looks for containers whose tokens go by time, and for what it has begun.
create policy retention on vault.container for select using (current_setting('strongroom.job', true) = 'erasure');
create policy retention on vault.job for select using (current_setting('strongroom.job', true) = 'erasure');
