-- name: insert_glass (merchant, glass, mode, person, session, permissions, reason, started_at, expires_at)
-- Extra permissions for a while. One at a time: the index of what is open says so.
insert into identity.break_glass (merchant_id, break_glass_id, mode, person_id, session_id, permissions, reason,
                                  started_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: glass_by_id (merchant, glass)
-- One of a tenant.
select * from identity.break_glass where merchant_id = $1 and break_glass_id = $2;

-- name: list_glasses (merchant, mode, before, limit, person)
-- A tenant's, newest first; all of them, or one person's.
select * from identity.break_glass
 where merchant_id = $1 and mode = $2 and ($3::text is null or break_glass_id < $3)
   and ($5::text is null or person_id = $5)
 order by break_glass_id desc
 limit $4;

-- name: active_glass (merchant, person, session, now)
-- What a session has now beside its role.
select * from identity.break_glass
 where merchant_id = $1 and person_id = $2 and session_id = $3 and ended_at is null and expires_at > $4;

-- name: extend_glass (merchant, glass, now, expires_at)
-- Once, while it is open.
update identity.break_glass set extended_at = $3, expires_at = $4
 where merchant_id = $1 and break_glass_id = $2 and ended_at is null and expires_at > $3 and extended_at is null;

-- name: end_glass (merchant, glass, now, ended_by)
-- By command.
update identity.break_glass set ended_at = $3, ended_by = $4
 where merchant_id = $1 and break_glass_id = $2 and ended_at is null;

-- name: be_expiry_job ()
-- States that this transaction looks for what is over, whoever's it is (row-level security).
select set_config('strongroom.job', 'expiry', true);

-- name: tenants_with_past_glasses (now, limit)
-- Whose break-glass is over and not ended.
select distinct merchant_id from identity.break_glass where ended_at is null and expires_at <= $1 limit $2;

-- name: end_past_glasses (merchants, now, ended_by)
-- By itself.
update identity.break_glass set ended_at = $2, ended_by = $3
 where merchant_id = any ($1::text[]) and ended_at is null and expires_at <= $2
returning *;

-- name: people_with_access (merchant)
-- Everybody who may log in.
select person_id, role, status, created_at, last_used_at from identity.person
 where merchant_id = $1 and status <> 'suspended'
 order by person_id;

-- name: keys_with_access (merchant, now)
-- Every key that holds.
select key_id, mode, kind, permissions, created_at, last_used_at from identity.api_key
 where merchant_id = $1 and revoked_at is null and (expires_at is null or expires_at > $2)
 order by key_id;

-- name: services_with_access (merchant)
-- Every service that holds.
select service_id, mode, permissions, certificate_bound, created_at, last_used_at from identity.service
 where merchant_id = $1 and revoked_at is null
 order by service_id;

-- name: glasses_since (merchant, since)
-- Every break-glass since a moment.
select * from identity.break_glass where merchant_id = $1 and started_at > $2 order by break_glass_id;

-- name: suspend_unused (merchants, used_before)
-- Disables people who have not logged in for too long; whoever never did counts from when they were made.
update identity.person set status = 'suspended'
 where merchant_id = any ($1::text[]) and status = 'active' and coalesce(last_used_at, created_at) <= $2
returning *;

-- name: note_key_use (merchants, keys, moments)
-- When keys were used last; never earlier than what is known.
update identity.api_key k
   set last_used_at = greatest(coalesce(k.last_used_at, u.at), u.at)
  from unnest($1::text[], $2::text[], $3::timestamptz[]) as u (merchant_id, key_id, at)
 where k.merchant_id = u.merchant_id and k.key_id = u.key_id;

-- name: insert_review (merchant, review, started_by, now)
-- A review begins. One at a time: the index of what is open says so.
insert into identity.access_review (merchant_id, review_id, started_by, started_at) values ($1, $2, $3, $4);

-- name: insert_item (merchant, review, subject, kind, person, description, permissions, made_at, last_used_at, unused)
-- What is to be decided on.
insert into identity.access_item (merchant_id, review_id, subject, kind, person_id, description, permissions, made_at,
                                  last_used_at, unused)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: list_reviews (merchant)
-- A tenant's reviews, newest first.
select r.*, count(i.subject) as items, count(i.subject) filter (where i.decision is null) as undecided
  from identity.access_review r left join identity.access_item i using (merchant_id, review_id)
 where r.merchant_id = $1
 group by r.merchant_id, r.review_id
 order by r.review_id desc
 limit 100;

-- name: review_by_id (merchant, review)
-- One of a tenant.
select r.*, count(i.subject) as items, count(i.subject) filter (where i.decision is null) as undecided
  from identity.access_review r left join identity.access_item i using (merchant_id, review_id)
 where r.merchant_id = $1 and r.review_id = $2
 group by r.merchant_id, r.review_id;

-- name: lock_review (merchant, review)
-- Decisions on one review are made one after the other, so that the last one closes it.
select review_id from identity.access_review
 where merchant_id = $1 and review_id = $2 and closed_at is null
   for update;

-- name: list_items (merchant, review, after, limit)
-- A page of a review's items, with the address of whom each is about.
select i.*, p.email
  from identity.access_item i left join identity.person p using (merchant_id, person_id)
 where i.merchant_id = $1 and i.review_id = $2 and i.subject > $3
 order by i.subject
 limit $4;

-- name: item_by_subject (merchant, review, subject)
-- One item.
select i.*, p.email
  from identity.access_item i left join identity.person p using (merchant_id, person_id)
 where i.merchant_id = $1 and i.review_id = $2 and i.subject = $3;

-- name: decide_item (merchant, review, subject, decision, decided_by, now)
-- A reviewer's word, once.
update identity.access_item set decision = $4, decided_by = $5, decided_at = $6
 where merchant_id = $1 and review_id = $2 and subject = $3 and decision is null
   and (person_id is null or person_id <> $5);

-- name: close_review (merchant, review, now)
-- When nothing is left to decide.
update identity.access_review r set closed_at = $3
 where r.merchant_id = $1 and r.review_id = $2 and r.closed_at is null
   and not exists (select from identity.access_item i
                    where i.merchant_id = $1 and i.review_id = $2 and i.decision is null);

-- name: last_reviews (merchants)
-- For each tenant: since when it has had access to review, and when that was last reviewed.
select m.merchant_id, m.since, max(r.closed_at) as closed_at
  from (select merchant_id, created_at as since from identity.merchant
         where merchant_id = any ($1::text[]) and status = 'active'
        union all
        select merchant_id, min(created_at) from identity.person
         where merchant_id = any ($1::text[]) and merchant_id = 'platform'
         group by merchant_id) m
  left join identity.access_review r on r.merchant_id = m.merchant_id
 group by m.merchant_id, m.since
 order by m.merchant_id;
