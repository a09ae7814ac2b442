-- Merchants' own destinations, and the record that a forward was begun, so that none is ever sent twice.

-- `sealed` holds the configuration again, beside the credentials: a row that was pointed elsewhere does not open.
create table vault.destination (
    merchant_id            text        not null,
    mode                   text        not null check (mode in ('live', 'test')),
    destination_id         text        not null,
    name                   text        not null,
    config                 text        not null,
    sealed                 bytea       not null,
    key_version            integer     not null,
    status                 text        not null check (status in ('active', 'disabled')),
    created_by             text        not null,
    created_at             timestamptz not null,
    updated_at             timestamptz not null,
    credentials_changed_at timestamptz not null,
    primary key (merchant_id, mode, destination_id)
);

-- One row an Idempotency-Key, made before the card is opened. `outcome` is null while it is sent, and for ever where
-- the process died: then, once the lease is over, it is not known what happened. Neither request nor answer is here.
create table vault.forward (
    merchant_id    text        not null,
    mode           text        not null check (mode in ('live', 'test')),
    key            text        not null,
    claim          text        not null,              -- the request that sends
    fingerprint    bytea       not null check (length(fingerprint) = 32),
    destination_id text        not null,
    cvc_state      text        not null check (cvc_state in ('absent', 'used')),
    begun_at       timestamptz not null,
    lease_until    timestamptz not null,
    outcome        text        check (outcome in ('answered', 'not_sent', 'unknown')),
    status         integer     not null default 0,
    reason         text        not null default '',
    duration_ms    integer     not null default 0,
    primary key (merchant_id, mode, key)
) with (fillfactor = 80);
create index forward_begun on vault.forward (begun_at);

alter table vault.destination enable row level security, force row level security;
alter table vault.forward enable row level security, force row level security;
create policy tenant on vault.destination using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy tenant on vault.forward using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
-- Retention works across tenants, on what is two days old only: a key is remembered for at least a day.
create policy expiry on vault.forward using (
    current_setting('strongroom.job', true) = 'expiry' and begun_at < now() - interval '2 days'
);

-- What is known before a forward is begun: whether its key was used, and what may be shown of its tokens.
-- One round trip, as its caller (row-level security holds).
create function vault.look_before_forward(
    of_merchant text, in_mode text, of_key text, tokens text[], at timestamptz
) returns table (
    kind text, token_id text, brand text, bin text, last4 text, exp_month integer, exp_year integer, container text,
    claim text, fingerprint bytea, destination_id text, cvc_state text, lease_until timestamptz, outcome text,
    status integer, reason text, duration_ms integer
)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    perform set_config('strongroom.merchants', of_merchant, true);
    return query
        select 'forward'::text, null::text, null::text, null::text, null::text, null::integer, null::integer, null::text,
               f.claim, f.fingerprint, f.destination_id, f.cvc_state, f.lease_until, f.outcome, f.status, f.reason,
               f.duration_ms
          from vault.forward f
         where f.merchant_id = of_merchant and f.mode = in_mode and f.key = of_key;
    return query
        select 'token'::text, t.token_id, t.brand, t.bin, t.last4, t.exp_month::integer, t.exp_year::integer,
               t.container, null::text, null::bytea, null::text, null::text, null::timestamptz, null::text,
               null::integer, null::text, null::integer
          from vault.token t
         where t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = any (tokens)
           and (t.expires_at is null or t.expires_at > at);
end $$;

-- Records that cards are about to be opened and sent, under a key that is used once; then gives out what is sealed.
-- All of it commits, or nothing is given out (promises 2, 3 and 4). Of each row the verdict is
--   'begun'          recorded; the sealed number of one token is in the row
--   'key_taken'      somebody was first with this key: nothing was recorded
--   'token_unknown'  a token is not there any more, or not in the container that its rule was asked for: likewise
--   'cvc_used'       a CVC was used or discarded before: likewise
create function vault.begin_forward(
    of_merchant text,
    in_mode     text,
    of_key      text,
    of_claim    text,
    a_print     bytea,
    destination text,
    at          timestamptz,
    until       timestamptz,
    tokens      text[],
    containers  text[],                   -- of each token, as it was when its rule was asked
    cvcs        text[],                   -- ids of sealed CVCs; empty: none came along
    a_event     text[],
    a_payload   bytea[],
    a_leaf      bytea[],
    a_mac       bytea[]
) returns table (verdict text, token_id text, sealed_number bytea, key_version integer)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    found_tokens integer;
    spent        integer;
begin
    perform set_config('strongroom.merchants', of_merchant, true);
    select count(*) into found_tokens
      from vault.token t join unnest(tokens, containers) as w (token, container)
        on t.token_id = w.token and t.container = w.container
     where t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = any (tokens)
       and (t.expires_at is null or t.expires_at > at);
    if found_tokens <> cardinality(tokens) then
        return query select 'token_unknown', null::text, null::bytea, null::integer;
        return;
    end if;
    insert into vault.forward (merchant_id, mode, key, claim, fingerprint, destination_id, cvc_state, begun_at,
                               lease_until)
    values (of_merchant, in_mode, of_key, of_claim, a_print, destination,
            case when cardinality(cvcs) > 0 then 'used' else 'absent' end, at, until)
        on conflict do nothing;
    if not found then
        return query select 'key_taken', null::text, null::bytea, null::integer;
        return;
    end if;
    if cardinality(cvcs) > 0 then
        insert into vault.cvc_use (merchant_id, mode, cvc_id, used_at)
        select of_merchant, in_mode, c.id, at from unnest(cvcs) as c (id) order by c.id
            on conflict do nothing;
        get diagnostics spent = row_count;
        if spent <> cardinality(cvcs) then
            raise exception sqlstate 'SR001' using message = 'a sealed CVC was used before';
        end if;
    end if;
    insert into audit.event (event_id, merchant_id, mode, payload, leaf_hash, row_mac)
    select u.event, of_merchant, in_mode, u.payload, u.leaf, u.mac
      from unnest(a_event, a_payload, a_leaf, a_mac) as u (event, payload, leaf, mac);
    return query
        select 'begun'::text, t.token_id, t.sealed_number, t.key_version
          from vault.token t
         where t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = any (tokens);
end $$;

-- Saves what came of a forward; the one who began it, and nobody later. Not waited for until it is on the disk: a
-- machine that loses power now forgets the outcome, and the key's is then unknown, which is never better than it was.
create function vault.end_forward(
    of_merchant text, in_mode text, of_key text, of_claim text, how text, answered integer, why text, took integer
) returns boolean
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
begin
    perform set_config('strongroom.merchants', of_merchant, true);
    perform set_config('synchronous_commit', 'off', true);
    update vault.forward
       set outcome = how, status = answered, reason = why, duration_ms = took
     where merchant_id = of_merchant and mode = in_mode and key = of_key and claim = of_claim and outcome is null;
    return found;
end $$;
