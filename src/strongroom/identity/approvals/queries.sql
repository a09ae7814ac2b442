-- name: insert_approval (merchant, approval, mode, action, listener, method, route, object, fingerprint, requested_by, requested_at, expires_at, about)
-- Something waits for another person.
insert into identity.approval (merchant_id, approval_id, mode, action, listener, method, route, object_id, fingerprint,
                               requested_by, requested_at, expires_at, about)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13);

-- name: approval_by_id (merchant, approval)
-- One of a tenant.
select * from identity.approval where merchant_id = $1 and approval_id = $2;

-- name: open_approvals_of (merchant, requested_by, now)
-- What waits or may be used of one person, newest first.
select * from identity.approval
 where merchant_id = $1 and requested_by = $2 and state in ('pending', 'approved') and used_at is null
   and expires_at > $3
 order by approval_id desc
 limit 100;

-- name: list_approvals (merchant, mode, before, limit, requested_by)
-- A tenant's, newest first; all of them, or one person's.
select * from identity.approval
 where merchant_id = $1 and mode = $2 and ($3::text is null or approval_id < $3)
   and ($5::text is null or requested_by = $5)
 order by approval_id desc
 limit $4;

-- name: use_approval (merchant, approval, now)
-- Uses an approval, once: of two at once, the second touches no row.
update identity.approval set used_at = $3
 where merchant_id = $1 and approval_id = $2 and state = 'approved' and used_at is null and expires_at > $3;

-- name: decide_approval (merchant, approval, state, decided_by, reason, now)
-- The second person's word, on what still waits.
update identity.approval set state = $3, decided_by = $4, reason = $5, decided_at = $6
 where merchant_id = $1 and approval_id = $2 and state = 'pending' and expires_at > $6 and requested_by <> $4;

-- name: withdraw_approval (merchant, approval, requested_by, now)
-- Whoever asked thinks better.
update identity.approval set state = 'withdrawn'
 where merchant_id = $1 and approval_id = $2 and requested_by = $3 and state in ('pending', 'approved')
   and used_at is null and expires_at > $4;

-- name: be_expiry_job ()
-- States that this transaction looks for what is over, whoever's it is (row-level security).
select set_config('strongroom.job', 'expiry', true);

-- name: tenants_with_past_approvals (now, limit)
-- Whose approvals are over and not ended.
select distinct merchant_id from identity.approval
 where state in ('pending', 'approved') and used_at is null and expires_at <= $1
 limit $2;

-- name: expire_approvals (merchants, now)
-- Ends what was not decided or used in time, of these tenants.
update identity.approval set state = 'expired'
 where merchant_id = any ($1::text[]) and state in ('pending', 'approved') and used_at is null and expires_at <= $2
returning *;

-- name: tenants_with_old_abouts (limit)
-- Whose approvals are long over and still say what they were about.
select distinct merchant_id from identity.approval
 where about is not null and expires_at < now() - interval '400 days'
 limit $1;

-- name: forget_abouts (merchants)
-- Takes out what somebody wrote; that it was approved, by whom and when, stays.
update identity.approval set about = null
 where merchant_id = any ($1::text[]) and about is not null and expires_at < now() - interval '400 days';

-- name: standing_of_person (merchant, person)
-- What a person is now, without their name.
select role, status from identity.person where merchant_id = $1 and person_id = $2;

-- name: others_who_decide (merchant, person, roles)
-- How many active people of these roles there are beside one.
select count(*) as others from identity.person
 where merchant_id = $1 and person_id <> $2 and status = 'active' and role = any ($3::text[]);
