-- name: present_email (email)
-- States which address this transaction may look for (row-level security).
select set_config('strongroom.presented_email', $1, true);

-- name: present_person (person)
-- States which person's id this transaction may look for.
select set_config('strongroom.presented_person', $1, true);

-- name: present_link (link_hash_hex)
-- States which set-up link this transaction may look for.
select set_config('strongroom.presented_link', $1, true);

-- name: present_ticket (ticket_hash_hex)
-- States which set-up ticket this transaction may look for.
select set_config('strongroom.presented_ticket', $1, true);

-- name: wait_for_turn ()
-- Lets one transaction at a time look for the platform's first administrator.
select pg_advisory_xact_lock(7318604915340822811);

-- name: person_by_email (email)
-- Whoever has this address.
select merchant_id, person_id, email, name, role, status, created_by, created_at, last_used_at
  from identity.person where email = $1;

-- name: person_by_id (person)
-- Whoever has this id, of those that this transaction may see.
select merchant_id, person_id, email, name, role, status, created_by, created_at, last_used_at
  from identity.person where person_id = $1;

-- name: person_of (merchant, person)
-- A tenant's person.
select merchant_id, person_id, email, name, role, status, created_by, created_at, last_used_at
  from identity.person where merchant_id = $1 and person_id = $2;

-- name: lock_person (merchant, person)
-- A tenant's person, theirs alone until this transaction ends.
select merchant_id, person_id, email, name, role, status, created_by, created_at, last_used_at, suspended_from
  from identity.person where merchant_id = $1 and person_id = $2 for no key update;

-- name: lock_admins (merchant)
-- Who may let others in; in one order, so that two who change two of them wait for each other.
select person_id from identity.person
 where merchant_id = $1 and role = 'admin' and status = 'active'
 order by person_id for no key update;

-- name: list_people (merchant, after, rows)
-- A page of a tenant's people, oldest first.
select merchant_id, person_id, email, name, role, status, created_by, created_at, last_used_at
  from identity.person where merchant_id = $1 and person_id > $2 order by person_id limit $3;

-- name: insert_person (merchant, person, email, name, role, created_by, created_at)
-- Somebody who is invited.
insert into identity.person (merchant_id, person_id, email, name, role, status, created_by, created_at)
values ($1, $2, $3, $4, $5, 'invited', $6, $7);

-- name: update_person (merchant, person, role, status, suspended_from)
-- What a person may do, or whether they may do it.
update identity.person set role = $3, status = $4, suspended_from = $5 where merchant_id = $1 and person_id = $2;

-- name: use_person (merchant, person, now)
-- Somebody logged in.
update identity.person set last_used_at = greatest(last_used_at, $3) where merchant_id = $1 and person_id = $2;

-- name: insert_invitation (merchant, invitation, person, reason, link_hash, created_by, created_at, expires_at)
-- A set-up link.
insert into identity.invitation
       (merchant_id, invitation_id, person_id, reason, link_hash, created_by, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: withdraw_invitations (merchant, person, now)
-- Ends a person's open link; returns which.
update identity.invitation set withdrawn_at = $3
 where merchant_id = $1 and person_id = $2 and used_at is null and withdrawn_at is null
returning invitation_id;

-- name: withdraw_admins (merchant, now)
-- Ends the open links of a tenant's admins who have not set up; returns whose.
update identity.invitation i set withdrawn_at = $2
  from identity.person p
 where i.merchant_id = $1 and i.used_at is null and i.withdrawn_at is null
   and p.merchant_id = i.merchant_id and p.person_id = i.person_id and p.role = 'admin' and p.status = 'invited'
returning i.invitation_id, p.merchant_id, p.person_id, p.email, p.name, p.role, p.status, p.created_by, p.created_at,
          p.last_used_at;

-- name: invitation_of (merchant, invitation)
-- A tenant's invitation.
select merchant_id, invitation_id, person_id, reason, created_by, created_at, expires_at, used_at, withdrawn_at
  from identity.invitation where merchant_id = $1 and invitation_id = $2;

-- name: list_invitations (merchant, after, rows)
-- A page of a tenant's invitations, oldest first.
select merchant_id, invitation_id, person_id, reason, created_by, created_at, expires_at, used_at, withdrawn_at
  from identity.invitation where merchant_id = $1 and invitation_id > $2 order by invitation_id limit $3;

-- name: invitation_by_link (link_hash)
-- The invitation behind a presented link.
select merchant_id, invitation_id, person_id from identity.invitation where link_hash = $1;

-- name: invitation_by_ticket (ticket_hash, now)
-- The open invitation behind a presented ticket.
select merchant_id, invitation_id, person_id from identity.invitation
 where ticket_hash = $1 and ticket_expires_at > $2 and expires_at > $2 and used_at is null and withdrawn_at is null;

-- name: open_invitation (merchant, invitation, ticket_hash, ticket_expires_at, now, openings_max)
-- Gives the newest ticket in place of the one before, as long as the link holds.
update identity.invitation
   set ticket_hash = $3, ticket_expires_at = least($4, expires_at), openings = openings + 1
 where merchant_id = $1 and invitation_id = $2 and expires_at > $5 and used_at is null and withdrawn_at is null
   and openings < $6
returning ticket_expires_at;

-- name: use_invitation (merchant, person, ticket_hash, now)
-- Uses up the link whose newest ticket this is; at most one transaction ever does.
update identity.invitation set used_at = $4
 where merchant_id = $1 and person_id = $2 and ticket_hash = $3 and ticket_expires_at > $4 and expires_at > $4
   and used_at is null and withdrawn_at is null
returning invitation_id;

-- name: kept_passwords (merchant, person, rows)
-- The newest password hashes of a person.
select password_id, password_hash, key_version, holds from identity.password
 where merchant_id = $1 and person_id = $2 order by password_id desc limit $3;

-- name: end_password (merchant, person)
-- The current password holds no longer; it is still remembered.
update identity.password set holds = false where merchant_id = $1 and person_id = $2 and holds;

-- name: insert_password (merchant, person, password_hash, key_version, set_at, after)
-- A new password, if nobody has set another one meanwhile.
insert into identity.password (merchant_id, person_id, password_hash, key_version, holds, set_at)
select $1, $2, $3, $4, true, $5
 where $6::bigint is not distinct from
       (select max(password_id) from identity.password where merchant_id = $1 and person_id = $2);

-- name: forget_passwords (merchant, person, remembered)
-- Removes hashes that nobody has to be kept from using again.
delete from identity.password
 where merchant_id = $1 and person_id = $2 and not holds
   and password_id not in (select password_id from identity.password where merchant_id = $1 and person_id = $2
                            order by password_id desc limit $3);
