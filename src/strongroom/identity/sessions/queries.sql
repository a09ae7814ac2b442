-- name: insert_session (merchant, session, person, mode, methods, dpop_thumbprint, refresh_hash, now, ends_at)
-- A new session, with the hash of its first refresh token.
insert into identity.session
       (merchant_id, session_id, person_id, mode, methods, dpop_thumbprint, refresh_hash, started_at, stepped_up_at,
        used_at, ends_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $8, $9);

-- name: present_session (session)
-- States which session this transaction may look for, before its tenant is known (row-level security).
select set_config('strongroom.presented_session', $1, true);

-- name: tenant_of_session (session)
-- Whose the presented session is.
select merchant_id from identity.session where session_id = $1;

-- name: session_for_change (session)
-- A session with all that decides over it, held until the transaction ends: of many at once, one goes first.
select s.merchant_id, s.session_id, s.person_id, s.mode, s.methods, s.dpop_thumbprint, s.refresh_hash, s.previous_hash,
       s.salt, s.started_at, s.stepped_up_at, s.used_at, s.ends_at, s.ended_at, s.ended_reason, p.role,
       p.status = 'active' and coalesce(m.status, 'active') = 'active' as active
  from identity.session s
  join identity.person p using (merchant_id, person_id)
  left join identity.merchant m using (merchant_id)
 where s.session_id = $1
   for update of s;

-- name: rotate_refresh (session, refresh_hash, previous_hash, salt, now)
-- The successor takes the place of a refresh token.
update identity.session set refresh_hash = $2, previous_hash = $3, salt = $4, used_at = $5 where session_id = $1;

-- name: step_up_session (session, methods, now)
-- Notes that a second factor was shown again, and which.
update identity.session set stepped_up_at = $3, methods = $2 where session_id = $1;

-- name: end_session (session, reason, now)
-- Ends a session that is open.
update identity.session set ended_at = $3, ended_reason = $2 where session_id = $1 and ended_at is null
returning merchant_id, session_id, person_id, mode, methods, dpop_thumbprint, started_at, stepped_up_at, used_at, ends_at,
          ended_at, ended_reason;

-- name: open_sessions_of_person (merchant, person)
-- What a person has open, held until the transaction ends; one that begins meanwhile waits for the person's row.
select session_id from identity.session where merchant_id = $1 and person_id = $2 and ended_at is null
 order by session_id
   for update;

-- name: hold_person (merchant, person)
-- Begin and end of a person's sessions go one after the other.
select person_id from identity.person where merchant_id = $1 and person_id = $2 for update;

-- name: list_sessions (merchant, person, now, idle_since, after, limit)
-- Open sessions of a tenant, or of one person of it ('' is everybody), the newest first.
select merchant_id, session_id, person_id, mode, methods, dpop_thumbprint, started_at, stepped_up_at, used_at, ends_at,
       ended_at, ended_reason
  from identity.session
 where merchant_id = $1 and ($2::text = '' or person_id = $2) and ended_at is null and ends_at > $3 and used_at >= $4
   and ($5::text = '' or session_id < $5)
 order by session_id desc
 limit $6;

-- name: session_by_id (merchant, session)
-- One session.
select merchant_id, session_id, person_id, mode, methods, dpop_thumbprint, started_at, stepped_up_at, used_at, ends_at,
       ended_at, ended_reason
  from identity.session
 where merchant_id = $1 and session_id = $2;

-- name: remove_past_sessions ()
-- What ended more than a day ago, of every tenant; the audit log keeps that it was.
delete from identity.session where ends_at < now() - interval '1 day';
