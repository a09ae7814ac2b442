-- name: note_change (tenant)
-- One more change of a tenant's lists; holds off another until this one is committed.
insert into identity.network_change as c (tenant, version) values ($1, 1)
on conflict (tenant) do update set version = c.version + 1;

-- name: list_changes ()
-- Who has or had lists, and the number of the last change.
select tenant, version from identity.network_change;

-- name: list_networks ()
-- The lists of every tenant that this transaction may see, oldest first.
select merchant_id, network_id, mode, subject, networks, name, changed_by, changed_at
  from identity.network
 order by merchant_id, network_id;

-- name: put_network (merchant, network, mode, subject, networks, name, changed_by, now)
-- The list of a subject in a mode; takes the place of the one there is, and keeps its id.
insert into identity.network (merchant_id, network_id, mode, subject, networks, name, changed_by, changed_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (merchant_id, subject, mode) do update
   set networks = excluded.networks, name = excluded.name, changed_by = excluded.changed_by,
       changed_at = excluded.changed_at
returning network_id;

-- name: remove_network (merchant, network)
-- Ends a list.
delete from identity.network where merchant_id = $1 and network_id = $2
returning network_id;

-- name: key_is_there (merchant, key)
-- Whether a tenant has this key.
select true as found from identity.api_key where merchant_id = $1 and key_id = $2;

-- name: person_is_there (merchant, person)
-- Whether a tenant has this person.
select true as found from identity.person where merchant_id = $1 and person_id = $2;
