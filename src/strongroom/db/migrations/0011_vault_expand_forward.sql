-- Calling processors out of the vault: connections whose credentials it holds, and the record of a card's use.

-- A merchant's account with a processor. The core knows a connection by its id; where it leads and what opens it are
-- known here alone. `sealed_credentials` also holds processor and base_url: a row that was pointed elsewhere in the
-- database does not open.
create table vault.connection (
    merchant_id        text        not null,
    mode               text        not null check (mode in ('live', 'test')),
    connection_id      text        not null,
    processor          text        not null,
    base_url           text        not null,
    sealed_credentials bytea       not null,
    key_version        integer     not null,
    status             text        not null check (status in ('active', 'disabled')),
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    primary key (merchant_id, mode, connection_id),
    check (not (mode = 'live' and processor = 'simulator'))
);

alter table vault.connection enable row level security, force row level security;
create policy tenant on vault.connection using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

-- What may be shown of one token that has not expired; one round trip, as its caller (row-level security holds).
create function vault.describe_token(of_merchant text, in_mode text, token text, at timestamptz)
returns table (token_id text, brand text, bin text, last4 text, exp_month integer, exp_year integer, single_use boolean)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    perform set_config('strongroom.merchants', of_merchant, true);
    return query
        select t.token_id, t.brand, t.bin, t.last4, t.exp_month::integer, t.exp_year::integer, t.single_use
          from vault.token t
         where t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = token
           and (t.expires_at is null or t.expires_at > at);
end $$;

-- Records that a card is about to be opened, and with it, where one came along, that its CVC is spent; then gives out
-- what is sealed. All of it commits, or nothing is given out: promise 3. One row comes back, whose verdict is
--   'used'           recorded; the sealed number and its expiry are in the row
--   'token_unknown'  not there for this merchant and mode, or its hour is over: nothing was recorded
--   'cvc_used'       the CVC was used or discarded before: nothing was recorded
-- Of two calls with one CVC at once the second waits for the first one's commit, and then loses.
create function vault.use_token(
    of_merchant text,
    in_mode     text,
    token       text,
    cvc         text,                     -- the sealed CVC's id; null: none came along
    at          timestamptz,
    a_event     text[],
    a_payload   bytea[],
    a_leaf      bytea[],
    a_mac       bytea[]
) returns table (verdict text, sealed_number bytea, key_version integer, exp_month integer, exp_year integer)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    card record;
begin
    perform set_config('strongroom.merchants', of_merchant, true);
    select t.sealed_number, t.key_version, t.exp_month, t.exp_year into card
      from vault.token t
     where t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = token
       and (t.expires_at is null or t.expires_at > at);
    if not found then
        return query select 'token_unknown', null::bytea, null::integer, null::integer, null::integer;
        return;
    end if;
    if cvc is not null then
        insert into vault.cvc_use (merchant_id, mode, cvc_id, used_at)
        values (of_merchant, in_mode, cvc, at)
            on conflict do nothing;
        if not found then
            return query select 'cvc_used', null::bytea, null::integer, null::integer, null::integer;
            return;
        end if;
    end if;
    insert into audit.event (event_id, merchant_id, mode, payload, leaf_hash, row_mac)
    select u.event, of_merchant, in_mode, u.payload, u.leaf, u.mac
      from unnest(a_event, a_payload, a_leaf, a_mac) as u (event, payload, leaf, mac);
    return query select 'used', card.sealed_number, card.key_version,
                        card.exp_month::integer, card.exp_year::integer;
end $$;
