-- name: insert_endpoint (merchant, mode, endpoint, url, description, types, sealed, key_version, now, most)
-- A new endpoint, where the merchant has fewer than it can have.
insert into webhooks.endpoint
       (merchant_id, mode, endpoint_id, url, description, types, sealed_secrets, key_version, status, created_at,
        updated_at)
select $1, $2, $3, $4, $5, $6, $7, $8, 'active', $9, $9
 where (select count(*) from webhooks.endpoint
         where merchant_id = $1 and mode = $2 and status <> 'deleted') < $10::integer;

-- name: list_endpoints (merchant, mode)
-- A tenant's endpoints of one mode, oldest first.
select merchant_id, mode, endpoint_id, url, description, types, status, disabled_reason, created_at, updated_at
  from webhooks.endpoint
 where merchant_id = $1 and mode = $2 and status <> 'deleted'
 order by endpoint_id;

-- name: endpoint_by_id (merchant, mode, endpoint)
-- One endpoint.
select merchant_id, mode, endpoint_id, url, description, types, status, disabled_reason, created_at, updated_at
  from webhooks.endpoint
 where merchant_id = $1 and mode = $2 and endpoint_id = $3 and status <> 'deleted';

-- name: endpoint_for_change (merchant, mode, endpoint)
-- One endpoint with its sealed secrets, so that nobody else changes it meanwhile.
select merchant_id, mode, endpoint_id, url, description, types, status, disabled_reason, created_at, updated_at,
       sealed_secrets, key_version
  from webhooks.endpoint
 where merchant_id = $1 and mode = $2 and endpoint_id = $3 and status <> 'deleted'
   for update;

-- name: change_endpoint (merchant, mode, endpoint, url, description, types, status, reason, now)
-- What a merchant can change of an endpoint.
update webhooks.endpoint
   set url = $4, description = $5, types = $6, status = $7, disabled_reason = $8, updated_at = $9
 where merchant_id = $1 and mode = $2 and endpoint_id = $3
returning merchant_id, mode, endpoint_id, url, description, types, status, disabled_reason, created_at, updated_at;

-- name: reseal_endpoint (merchant, mode, endpoint, sealed, key_version, now)
-- Other secrets.
update webhooks.endpoint set sealed_secrets = $4, key_version = $5, updated_at = $6
 where merchant_id = $1 and mode = $2 and endpoint_id = $3
returning merchant_id, mode, endpoint_id, url, description, types, status, disabled_reason, created_at, updated_at;

-- name: delete_endpoint (merchant, mode, endpoint, now)
-- The row stays, for the deliveries that name it; its secrets, its address and what was said of it do not.
update webhooks.endpoint
   set status = 'deleted', url = '', description = '', sealed_secrets = '', disabled_reason = null, updated_at = $4
 where merchant_id = $1 and mode = $2 and endpoint_id = $3 and status <> 'deleted'
returning endpoint_id;

-- name: disable_endpoint (merchant, mode, endpoint, reason, now)
-- An endpoint that wants nothing more. Touches no row the second time.
update webhooks.endpoint set status = 'disabled', disabled_reason = $4, updated_at = $5
 where merchant_id = $1 and mode = $2 and endpoint_id = $3 and status = 'active'
returning endpoint_id;

-- name: listening_endpoints (merchant, mode, type)
-- Who is told of a type.
select endpoint_id from webhooks.endpoint
 where merchant_id = $1 and mode = $2 and status = 'active' and (types = '{}' or $3 = any (types))
 order by endpoint_id;

-- name: insert_event (merchant, mode, event, type, object, payload, now)
-- An event that only one endpoint is told of; all others are written by `webhooks.publish`.
insert into webhooks.event (merchant_id, mode, event_id, type, object_id, payload, created_at)
values ($1, $2, $3, $4, $5, $6, $7);

-- name: insert_deliveries (merchant, mode, deliveries, event, endpoints, now)
-- An event is to go to these endpoints.
insert into webhooks.delivery (merchant_id, mode, delivery_id, event_id, endpoint_id, status, created_at, next_at)
select $1, $2, d.delivery_id, $4, d.endpoint_id, 'pending', $6, $6
  from unnest($3::text[], $5::text[]) as d (delivery_id, endpoint_id);

-- name: put_delivery_jobs (merchant, mode, deliveries, now)
-- The jobs of new deliveries.
select jobs.put($1, $2, 'delivery', d.delivery_id, $4, $4) from unnest($3::text[]) as d (delivery_id);

-- name: list_events (merchant, mode, before, type, limit)
-- A tenant's events, newest first, of one type or of all.
select event_id, type, object_id, payload, created_at from webhooks.event
 where merchant_id = $1 and mode = $2 and event_id < $3 and ($4::text is null or type = $4)
 order by event_id desc
 limit $5;

-- name: list_events_of_object (merchant, mode, object, before, type, limit)
-- What happened to one object, newest first.
select event_id, type, object_id, payload, created_at from webhooks.event
 where merchant_id = $1 and mode = $2 and object_id = $3 and event_id < $4 and ($5::text is null or type = $5)
 order by event_id desc
 limit $6;

-- name: list_events_after (merchant, mode, after, type, limit)
-- A tenant's events, oldest first, for those who follow them.
select event_id, type, object_id, payload, created_at from webhooks.event
 where merchant_id = $1 and mode = $2 and event_id > $3 and ($4::text is null or type = $4)
 order by event_id
 limit $5;

-- name: event_by_id (merchant, mode, event)
-- One event.
select event_id, type, object_id, payload, created_at from webhooks.event
 where merchant_id = $1 and mode = $2 and event_id = $3;

-- name: deliveries_of_event (merchant, mode, event)
-- Where an event went or is to go, in the order in which that was wished.
select delivery_id, event_id, endpoint_id, status, created_at, next_at, delivered_at from webhooks.delivery
 where merchant_id = $1 and mode = $2 and event_id = $3
 order by created_at, delivery_id;

-- name: tries_of_deliveries (merchant, mode, deliveries)
-- The log of these deliveries.
select delivery_id, number, at, status, reason, duration_ms from webhooks.delivery_try
 where merchant_id = $1 and mode = $2 and delivery_id = any ($3::text[])
 order by delivery_id, number;

-- name: load_deliveries (merchants, modes, deliveries)
-- What it takes to deliver these, whoever's they are; the function states their merchants.
select n, status, tries, event_id, payload, published_at, endpoint_id, url, endpoint_status, sealed_secrets, key_version
  from webhooks.load_deliveries($1, $2, $3);

-- name: record_tries (merchants, modes, deliveries, ats, statuses, reasons, durations, outcomes, nexts, job_tries, leases)
-- What came of a batch of tries: log, delivery and job at once; the function states the merchants.
select webhooks.record_tries($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: try_is_there (merchant, mode, delivery, at)
-- Whether a try whose connection broke was written.
select number from webhooks.delivery_try
 where merchant_id = $1 and mode = $2 and delivery_id = $3 and at = $4;

-- name: publish_once (merchant, mode, outbox, event, type, object, payload, now)
-- An event of what happened in the vault, with its deliveries, unless it was made before.
select webhooks.publish_once($1, $2, $3, $4, $5, $6, $7, $8) as published;

-- name: page_of_endpoint_secrets (merchant, mode, after, limit, version)
-- Endpoints' secrets by their ids; what is sealed comes along where it is not of this version. One that is deleted has
-- none.
select endpoint_id as id, '' as part, key_version, case when key_version <> $5 then sealed_secrets end as sealed
  from webhooks.endpoint
 where merchant_id = $1 and mode = $2 and endpoint_id > $3 and status <> 'deleted'
 order by endpoint_id
 limit $4;

-- name: reseal_endpoint_secrets (merchant, mode, ids, parts, olds, news, version)
-- Puts what was sealed anew, where nothing has changed meanwhile.
with done as (
    update webhooks.endpoint t set sealed_secrets = u.new, key_version = $7
      from unnest($3::text[], $4::text[], $5::bytea[], $6::bytea[]) as u (id, part, old, new)
     where t.merchant_id = $1 and t.mode = $2 and t.endpoint_id = u.id and t.sealed_secrets = u.old
    returning 1)
select count(*)::integer as touched from done;

-- name: count_endpoint_secrets (merchant, mode, version, most)
-- How many are sealed under a version (null: any), of at most so many.
select count(*)::integer as rows
  from (select from webhooks.endpoint
         where merchant_id = $1 and mode = $2 and ($3::integer is null or key_version = $3) and status <> 'deleted'
         limit $4) t;
