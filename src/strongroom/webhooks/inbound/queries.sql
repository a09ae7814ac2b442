-- name: insert_source (merchant, mode, connection, scheme, sealed_secrets, key_version, now)
-- Where a connection's notices may come from.
insert into webhooks.source
       (merchant_id, mode, connection_id, scheme, sealed_secrets, key_version, status, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, 'active', $7, $7);

-- name: source_by_id (merchant, mode, connection)
-- A tenant's own source.
select merchant_id, mode, connection_id, scheme, sealed_secrets, key_version, status from webhooks.source
 where merchant_id = $1 and mode = $2 and connection_id = $3;

-- name: replace_secrets (merchant, mode, connection, before, sealed_secrets, key_version, now)
-- Puts other secrets in the place of those that were read; no row when they are others by now.
update webhooks.source set sealed_secrets = $5, key_version = $6, updated_at = $7
 where merchant_id = $1 and mode = $2 and connection_id = $3 and sealed_secrets = $4 and status = 'active'
returning connection_id;

-- name: disable_source (merchant, mode, connection, now)
-- Takes no more notices. One that is disabled keeps its first time.
update webhooks.source
   set status = 'disabled', updated_at = case when status = 'disabled' then updated_at else $4 end
 where merchant_id = $1 and mode = $2 and connection_id = $3
returning connection_id;

-- name: present_connection (connection)
-- States which connection this transaction may look for before there is a tenant (row-level security).
select set_config('strongroom.presented_connection', $1, true);

-- name: source_by_connection (connection)
-- The source behind a connection that somebody named.
select merchant_id, mode, connection_id, scheme, sealed_secrets, key_version, status from webhooks.source
 where connection_id = $1;

-- name: keep_notices (merchants, m, md, notice, connection, event_key, sealed, key_version, received_at)
-- Keeps each event once with the job that looks at it, in one round trip and commit; returns those that are new.
-- Tenants are stated first: rows come from `stated`, and each is checked against its tenant only when it is there.
-- Sorted, so that two batches that share events wait for each other in one order.
with stated as materialized (
    select set_config('strongroom.merchants', $1, true) as merchants
), given as materialized (
    select g.*
      from stated s,
           unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::integer[],
                  $9::timestamptz[])
               as g (merchant_id, mode, notice_id, connection_id, event_key, sealed, key_version, received_at)
     order by g.merchant_id, g.mode, g.connection_id, g.event_key
), kept as (
    insert into webhooks.notice
           (merchant_id, mode, notice_id, connection_id, event_key, sealed, key_version, state, received_at)
    select merchant_id, mode, notice_id, connection_id, event_key, sealed, key_version, 'kept', received_at from given
        on conflict (merchant_id, mode, connection_id, event_key) do nothing
    returning merchant_id, mode, notice_id, received_at
)
select k.notice_id, jobs.put(k.merchant_id, k.mode, 'notice', k.notice_id, k.received_at, k.received_at) from kept k;

-- name: notice_by_event (merchant, mode, connection, event_key)
-- Under which id an event is kept.
select notice_id from webhooks.notice
 where merchant_id = $1 and mode = $2 and connection_id = $3 and event_key = $4;

-- name: words_by_event (merchant, mode, connection, event_keys)
-- What is kept of an event and of what was said of it again, sealed.
select notice_id, event_key, sealed, key_version from webhooks.notice
 where merchant_id = $1 and mode = $2 and connection_id = $3 and event_key = any ($4::text[]);

-- name: keep_word (merchant, mode, notice, connection, event_key, sealed, key_version, received_at)
-- Keeps what was said again and was not signed. There is nothing to do about it, so it has no job.
insert into webhooks.notice
       (merchant_id, mode, notice_id, connection_id, event_key, sealed, key_version, state, result, received_at, handled_at)
values ($1, $2, $3, $4, $5, $6, $7, 'handled', 'restated', $8, $8)
    on conflict (merchant_id, mode, connection_id, event_key) do nothing
returning notice_id;

-- name: notices_by_id (merchants, m, md, notice)
-- The notices that are named, sealed; of the `n`th, if it is there. Tenants are stated first, as above; look-ups are
-- lateral: a plan made on an empty table would read a join's inner side whole. Their names are read as a row, so that
-- no plan is better for knowing how many they are: PostgreSQL would make one for each call.
with stated as materialized (
    select set_config('strongroom.merchants', $1, true) as merchants,
           $2::text[] as ms, $3::text[] as mds, $4::text[] as ids
)
select w.n, k.connection_id, k.event_key, k.sealed, k.key_version, k.state, k.received_at
  from stated s
 cross join lateral unnest(s.ms, s.mds, s.ids) with ordinality as w (m, md, id, n)
 cross join lateral (select x.* from webhooks.notice x
                      where x.merchant_id = w.m and x.mode = w.md and x.notice_id = w.id limit 1) k;

-- name: page_of_source_secrets (merchant, mode, after, limit, version)
-- Sources' secrets by their ids; what is sealed comes along where it is not of this version.
select connection_id as id, '' as part, key_version, case when key_version <> $5 then sealed_secrets end as sealed
  from webhooks.source
 where merchant_id = $1 and mode = $2 and connection_id > $3
 order by connection_id
 limit $4;

-- name: reseal_source_secrets (merchant, mode, ids, parts, olds, news, version)
-- Puts what was sealed anew, where nothing has changed meanwhile.
with done as (
    update webhooks.source t set sealed_secrets = u.new, key_version = $7
      from unnest($3::text[], $4::text[], $5::bytea[], $6::bytea[]) as u (id, part, old, new)
     where t.merchant_id = $1 and t.mode = $2 and t.connection_id = u.id and t.sealed_secrets = u.old
    returning 1)
select count(*)::integer as touched from done;

-- name: count_source_secrets (merchant, mode, version, most)
-- How many are sealed under a version (null: any), of at most so many.
select count(*)::integer as rows
  from (select from webhooks.source
         where merchant_id = $1 and mode = $2 and ($3::integer is null or key_version = $3)
         limit $4) t;

-- name: page_of_notices (merchant, mode, after, limit, version)
-- Notices by their ids; what is sealed comes along where it is not of this version.
select notice_id as id, '' as part, key_version, case when key_version <> $5 then sealed end as sealed
  from webhooks.notice
 where merchant_id = $1 and mode = $2 and notice_id > $3
 order by notice_id
 limit $4;

-- name: reseal_notices (merchant, mode, ids, parts, olds, news, version)
-- Puts what was sealed anew, where nothing has changed meanwhile.
with done as (
    update webhooks.notice t set sealed = u.new, key_version = $7
      from unnest($3::text[], $4::text[], $5::bytea[], $6::bytea[]) as u (id, part, old, new)
     where t.merchant_id = $1 and t.mode = $2 and t.notice_id = u.id and t.sealed = u.old
    returning 1)
select count(*)::integer as touched from done;

-- name: count_notices (merchant, mode, version, most)
-- How many are sealed under a version (null: any), of at most so many.
select count(*)::integer as rows
  from (select from webhooks.notice
         where merchant_id = $1 and mode = $2 and ($3::integer is null or key_version = $3)
         limit $4) t;
