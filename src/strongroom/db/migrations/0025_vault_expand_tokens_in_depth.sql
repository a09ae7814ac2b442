-- Tokens in depth: what is sealed beside the number, aliases, network tokens, and what tokens are searched by.

-- Null: a card. A network token's number is a DPAN, sealed like any other. An alias is for systems that insist on a
-- card-shaped field: random, begins with 99, check digit wrong, the last four as the card's.
alter table vault.token
    add column kind      text check (kind in ('network_token')),
    add column pan_alias text check (pan_alias ~ '^99[0-9]{11,17}$');
-- Tokens without one, which is nearly all, cost nothing here.
create unique index token_pan_alias on vault.token (merchant_id, mode, pan_alias) where pan_alias is not null;
-- The one index that every token pays for. Ten thousand keys a merchant and mode, each with a list of rows (the B-tree
-- folds equal keys): six bytes a row at 10^7, and the pages that are written to stay few and in memory. BIN, expiry and
-- metadata have none: a BIN stands for a tenth of all rows or for a handful, an expiry for a sixtieth, and metadata
-- would need a row an entry; what is searched by them alone is looked for newest first, a bounded number of rows a page
-- by the primary key. Expiry and BIN are found in few rows then; what is rare is found over several pages.
-- It begins with what no other question asks for: where the table has no statistics yet, an index by merchant seems equal
-- to the primary key, and walks by token id would read and sort all of it for every page.
create index token_last4 on vault.token (last4, merchant_id, mode);

-- What is sealed beside the number, each under a place of its own; gone with its token. Tokens without any, which is
-- nearly all, cost nothing here.
create table vault.token_detail (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    token_id    text        not null,
    field       text        not null check (field in ('holder', 'billing_address', 'network_token', 'cryptogram',
                                                      'stored_credential')),
    sealed      bytea       not null,
    key_version integer     not null,
    -- A cryptogram is gone after this, used or not; null: as long as its token.
    expires_at  timestamptz,
    primary key (merchant_id, mode, token_id, field),
    foreign key (merchant_id, mode, token_id) references vault.token on delete cascade,
    check ((field = 'cryptogram') = (expires_at is not null))
);
create index token_detail_expiring on vault.token_detail (expires_at) where expires_at is not null;

alter table vault.token_detail enable row level security, force row level security;
create policy tenant on vault.token_detail using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
create policy expiry on vault.token_detail using (
    current_setting('strongroom.job', true) = 'expiry' and expires_at <= now()
);

-- The hot write of migration 0006, and with it: containers, kinds, aliases and details. The older one stays for
-- processes of the release before.
create function vault.put_tokens(
    merchants      text[],
    k_merchant     text[],                -- one a group; the group's number is its place, from 1
    k_mode         text[],
    k_route        text,
    k_key          text[],
    k_claim        text[],
    k_fingerprint  bytea[],
    k_status       integer[],
    k_object       text[],
    k_response     bytea[],
    t_group        integer[],             -- null: token and record n belong to group n
    t_token        text[],
    t_sealed       bytea[],
    t_key_version  integer[],
    t_brand        text[],
    t_bin          text[],
    t_last4        text[],
    t_exp_month    integer[],
    t_exp_year     integer[],
    t_fingerprint  bytea[],
    t_fp_version   integer[],
    t_single_use   boolean[],
    t_expires_at   timestamptz[],
    t_metadata     text[],
    t_created_by   text[],
    t_created_at   timestamptz[],
    t_container    text[],                -- null: all of them in `default`, as a null in it
    t_kind         text[],                -- null: all of them cards
    t_alias        text[],
    d_item         integer[],             -- a detail's place among the tokens; null: there are none
    d_field        text[],
    d_sealed       bytea[],
    d_key_version  integer[],
    d_expires_at   timestamptz[],
    a_group        integer[],
    a_event        text[],
    a_payload      bytea[],
    a_leaf         bytea[],
    a_mac          bytea[]
) returns table (kind text, group_no integer, item integer, token_id text,
                 fingerprint bytea, status integer, object_id text, response bytea)
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    today     date := (clock_timestamp() at time zone 'utc')::date;
    day_no    integer := today - date '2000-01-01';
    groups    integer := cardinality(k_key);
    dropped   integer[] := '{}';
    written   integer;
    with_card integer;
    missing   integer;
begin
    perform set_config('strongroom.merchants', array_to_string(merchants, ','), true);
    -- One request, one token, one record: the places are the groups.
    t_group := coalesce(t_group, array(select generate_series(1, groups)));
    a_group := coalesce(a_group, t_group);

    -- A key is unique within a day's partition and looked for in the day before. At midnight the writers of the
    -- new day wait for those of the old; one that computed the old day and comes late starts again.
    perform pg_advisory_xact_lock_shared(20812, day_no);
    if (clock_timestamp() at time zone 'utc')::time < time '00:01' then
        perform pg_advisory_xact_lock(20812, day_no - 1);
    end if;
    if (clock_timestamp() at time zone 'utc')::date <> today then
        raise exception 'midnight' using errcode = 'serialization_failure';
    end if;

    -- 1. Cards that are known already: their groups are left out.
    with_card := (select count(f) from unnest(t_fingerprint) f);
    if with_card > 0 then
        return query
            select 'exists', x.g, x.item, x.token, null::bytea, null::integer, null::text, null::bytea
              from (select u.g, u.item::integer as item,
                           (select i.token_id from vault.card_identity i
                             where i.merchant_id = u.m and i.mode = u.mode and i.key_version = u.v
                               and i.fingerprint = u.fp) as token
                      from (select w.g, w.item, w.v, w.fp, k_merchant[w.g] as m, k_mode[w.g] as mode
                              from unnest(t_group, t_fp_version, t_fingerprint) with ordinality as w (g, v, fp, item)
                             where w.fp is not null
                            offset 0) u) x
             where x.token is not null;
        if found then
            dropped := array(
                select x.g
                  from (select u.g,
                               (select i.token_id from vault.card_identity i
                                 where i.merchant_id = u.m and i.mode = u.mode and i.key_version = u.v
                                   and i.fingerprint = u.fp) as token
                          from (select w.g, w.v, w.fp, k_merchant[w.g] as m, k_mode[w.g] as mode
                                  from unnest(t_group, t_fp_version, t_fingerprint) as w (g, v, fp)
                                 where w.fp is not null
                                offset 0) u) x
                 where x.token is not null
                 group by x.g);
        end if;
    end if;

    -- 2. Idempotency keys, sorted; what is there already answers for its group.
    insert into idempotency.request
           (day, merchant_id, mode, route, key, claim, fingerprint, status, object_id, response)
    select today, k.m, k.mode, k_route, k.key, k.claim, k.fp, k.status, k.object, k.response
      from unnest(k_merchant, k_mode, k_key, k_claim, k_fingerprint, k_status, k_object, k_response) with ordinality
           as k (m, mode, key, claim, fp, status, object, response, g)
     where k.g <> all (dropped)
       and (select r.claim from idempotency.request r
             where r.merchant_id = k.m and r.mode = k.mode and r.route = k_route and r.key = k.key
               and r.day = today - 1) is null
     order by k.m, k.mode, k.key
        on conflict do nothing;
    get diagnostics written = row_count;
    if written < groups - cardinality(dropped) then
        return query
            select 'replay', k.g::integer, null::integer, null::text, r.fingerprint, r.status, r.object_id, r.response
              from unnest(k_merchant, k_mode, k_key, k_claim) with ordinality as k (m, mode, key, claim, g)
             cross join lateral (
                   select q.claim, q.fingerprint, q.status, q.object_id, q.response from idempotency.request q
                    where q.merchant_id = k.m and q.mode = k.mode and q.route = k_route and q.key = k.key
                      and q.day in (today, today - 1)
                   offset 0) r
             where k.g <> all (dropped) and r.claim <> k.claim;
        dropped := dropped || array(
            select k.g::integer
              from unnest(k_merchant, k_mode, k_key, k_claim) with ordinality as k (m, mode, key, claim, g)
             cross join lateral (
                   select q.claim from idempotency.request q
                    where q.merchant_id = k.m and q.mode = k.mode and q.route = k_route and q.key = k.key
                      and q.day in (today, today - 1)
                   offset 0) r
             where k.g <> all (dropped) and r.claim <> k.claim);
    end if;

    -- 3. Card identities, sorted. Whoever lost a race since step 1 starts again and then sees the winner.
    if with_card > 0 then
        with_card := (select count(*) from unnest(t_group, t_fingerprint) as u (g, fp)
                       where u.fp is not null and u.g <> all (dropped));
        insert into vault.card_identity (merchant_id, mode, key_version, fingerprint, token_id)
        select k_merchant[u.g], k_mode[u.g], u.v, u.fp, u.t
          from unnest(t_group, t_fp_version, t_fingerprint, t_token) as u (g, v, fp, t)
         where u.fp is not null and u.g <> all (dropped)
         order by 1, 2, 3, 4
            on conflict do nothing;
        get diagnostics written = row_count;
        if written < with_card then
            raise exception 'a card identity was taken meanwhile' using errcode = 'serialization_failure';
        end if;
    end if;

    -- 4. Tokens.
    insert into vault.token
           (merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4, exp_month, exp_year,
            fingerprint, fingerprint_version, single_use, expires_at, metadata, created_by, created_at, container,
            kind, pan_alias)
    select k_merchant[u.g], k_mode[u.g], u.token, u.sealed, u.kv, u.brand, u.bin, u.last4, u.em, u.ey,
           u.fp, u.fv, u.single_use, u.expires_at, u.metadata::jsonb, u.created_by, u.created_at,
           coalesce(u.container, 'default'), u.kind, u.alias
      from unnest(t_group, t_token, t_sealed, t_key_version, t_brand, t_bin, t_last4, t_exp_month, t_exp_year,
                  t_fingerprint, t_fp_version, t_single_use, t_expires_at, t_metadata, t_created_by, t_created_at,
                  t_container, t_kind, t_alias)
           as u (g, token, sealed, kv, brand, bin, last4, em, ey, fp, fv, single_use, expires_at, metadata, created_by,
                 created_at, container, kind, alias)
     where u.g <> all (dropped);

    -- A container that is not there any more takes no token: whoever ends it holds its row, and waits for this.
    if t_container is not null then
        missing := (select count(*)
                      from (select distinct k_merchant[u.g] as m, k_mode[u.g] as mode, u.c
                              from unnest(t_group, t_container) as u (g, c)
                             where u.c is not null and u.c <> 'default' and u.g <> all (dropped)
                            offset 0) w
                     where (select k.name from vault.container k
                             where k.merchant_id = w.m and k.mode = w.mode and k.name = w.c
                               for key share) is null);
        if missing > 0 then
            raise exception 'a container is gone'
                  using errcode = 'foreign_key_violation', constraint = 'token_container', table = 'token';
        end if;
    end if;

    -- What is sealed beside the number.
    if d_item is not null then
        insert into vault.token_detail (merchant_id, mode, token_id, field, sealed, key_version, expires_at)
        select k_merchant[t_group[u.item]], k_mode[t_group[u.item]], t_token[u.item], u.field, u.sealed, u.kv,
               u.expires_at
          from unnest(d_item, d_field, d_sealed, d_key_version, d_expires_at) as u (item, field, sealed, kv, expires_at)
         where t_group[u.item] <> all (dropped);
    end if;

    -- 5. Their audit records, in the same transaction.
    insert into audit.event (event_id, merchant_id, mode, payload, leaf_hash, row_mac)
    select u.event, k_merchant[u.g], k_mode[u.g], u.payload, u.leaf, u.mac
      from unnest(a_group, a_event, a_payload, a_leaf, a_mac) as u (g, event, payload, leaf, mac)
     where u.g <> all (dropped);
end $$;

-- What may be shown of one token that has not expired, where it stands, and what payments read of it, sealed; one round
-- trip, as its caller (row-level security holds).
create function vault.card_facts(of_merchant text, in_mode text, token text, at timestamptz)
returns table (token_id text, brand text, bin text, last4 text, exp_month integer, exp_year integer, single_use boolean,
               container text, kind text, network_token bytea, network_token_version integer, has_cryptogram boolean,
               stored_credential bytea, stored_credential_version integer)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    perform set_config('strongroom.merchants', of_merchant, true);
    return query
        select t.token_id, t.brand, t.bin, t.last4, t.exp_month::integer, t.exp_year::integer, t.single_use,
               t.container, t.kind, n.sealed, n.key_version, c.field is not null, s.sealed, s.key_version
          from vault.token t
          left join vault.token_detail n on n.merchant_id = t.merchant_id and n.mode = t.mode
               and n.token_id = t.token_id and n.field = 'network_token'
          left join vault.token_detail c on c.merchant_id = t.merchant_id and c.mode = t.mode
               and c.token_id = t.token_id and c.field = 'cryptogram' and c.expires_at > at
          left join vault.token_detail s on s.merchant_id = t.merchant_id and s.mode = t.mode
               and s.token_id = t.token_id and s.field = 'stored_credential'
         where t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = token
           and (t.expires_at is null or t.expires_at > at);
end $$;

-- `use_token` of migration 0011, which besides
--   refuses a token that is not in the container whose rules were asked ('moved': ask those of where it is now), and
--   gives out a network token's cryptogram, which is gone with that: it serves once.
create function vault.use_card(
    of_merchant  text,
    in_mode      text,
    token        text,
    in_container text,
    cvc          text,                    -- the sealed CVC's id; null: none came along
    cryptogram   boolean,                 -- whether the cryptogram is used, too
    at           timestamptz,
    a_event      text[],
    a_payload    bytea[],
    a_leaf       bytea[],
    a_mac        bytea[]
) returns table (verdict text, sealed_number bytea, key_version integer, exp_month integer, exp_year integer,
                 cryptogram_sealed bytea, cryptogram_version integer)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    card  record;
    spent record;
begin
    perform set_config('strongroom.merchants', of_merchant, true);
    select t.sealed_number, t.key_version, t.exp_month, t.exp_year, t.container into card
      from vault.token t
     where t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = token
       and (t.expires_at is null or t.expires_at > at);
    if not found then
        return query select 'token_unknown', null::bytea, null::integer, null::integer, null::integer,
                            null::bytea, null::integer;
        return;
    end if;
    if card.container <> in_container then
        return query select 'moved', null::bytea, null::integer, null::integer, null::integer,
                            null::bytea, null::integer;
        return;
    end if;
    -- A verdict commits what was done before it: the cryptogram is held before the CVC is spent, and goes after it.
    if cryptogram then
        select d.sealed, d.key_version into spent
          from vault.token_detail d
         where d.merchant_id = of_merchant and d.mode = in_mode and d.token_id = token and d.field = 'cryptogram'
           and d.expires_at > at
           for update;
        if not found then
            return query select 'cryptogram_used', null::bytea, null::integer, null::integer, null::integer,
                                null::bytea, null::integer;
            return;
        end if;
    end if;
    if cvc is not null then
        insert into vault.cvc_use (merchant_id, mode, cvc_id, used_at)
        values (of_merchant, in_mode, cvc, at)
            on conflict do nothing;
        if not found then
            return query select 'cvc_used', null::bytea, null::integer, null::integer, null::integer,
                                null::bytea, null::integer;
            return;
        end if;
    end if;
    if cryptogram then
        delete from vault.token_detail d
         where d.merchant_id = of_merchant and d.mode = in_mode and d.token_id = token and d.field = 'cryptogram';
    end if;
    insert into audit.event (event_id, merchant_id, mode, payload, leaf_hash, row_mac)
    select u.event, of_merchant, in_mode, u.payload, u.leaf, u.mac
      from unnest(a_event, a_payload, a_leaf, a_mac) as u (event, payload, leaf, mac);
    if cryptogram then
        return query select 'used', card.sealed_number, card.key_version, card.exp_month::integer,
                            card.exp_year::integer, spent.sealed, spent.key_version;
    else
        return query select 'used', card.sealed_number, card.key_version, card.exp_month::integer,
                            card.exp_year::integer, null::bytea, null::integer;
    end if;
end $$;
