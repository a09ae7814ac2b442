-- name: note_change (tenant)
-- One more change of a tenant's containers or rules; holds off another until this one is committed.
insert into vault.container_change as c (tenant, version) values ($1, 1)
on conflict (tenant) do update set version = c.version + 1;

-- name: list_changes ()
-- Who has or had containers or rules, and the number of the last change.
select tenant, version from vault.container_change;

-- name: change_of (tenant)
-- The number of a tenant's last change.
select version from vault.container_change where tenant = $1;

-- name: list_containers (merchant)
-- A tenant's containers, of both modes.
select merchant_id, mode, name, description, retention_days, created_by, created_at, updated_at
  from vault.container where merchant_id = $1 order by mode, name;

-- name: list_rules (merchant)
-- A tenant's rules, of both modes, in the order in which they are asked.
select merchant_id, mode, rule_id, container, priority, grantee_kind, grantee, access, transform, created_by, created_at
  from vault.access_rule where merchant_id = $1 order by mode, priority, rule_id;

-- name: put_container (merchant, mode, name, description, retention_days, created_by, now)
-- A container; one that is there gets another description and another retention.
insert into vault.container (merchant_id, mode, name, description, retention_days, created_by, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, $7)
    on conflict (merchant_id, mode, name) do update
   set description = excluded.description, retention_days = excluded.retention_days, updated_at = excluded.updated_at
returning merchant_id, mode, name, description, retention_days, created_by, created_at, updated_at;

-- name: container_for_removal (merchant, mode, name)
-- A container that nobody puts a token into before this transaction ends (migration 0025: writers hold its key).
select name from vault.container where merchant_id = $1 and mode = $2 and name = $3 for update;

-- name: container_is_used (merchant, mode, name)
-- Whether a token stands in a container.
select true as found from vault.token
 where merchant_id = $1 and mode = $2 and container = $3 and container <> 'default' limit 1;

-- name: remove_container (merchant, mode, name)
-- Ends a container.
delete from vault.container where merchant_id = $1 and mode = $2 and name = $3 returning name;

-- name: insert_rule (merchant, mode, rule, container, priority, grantee_kind, grantee, access, transform, created_by, now)
-- A new rule.
insert into vault.access_rule (merchant_id, mode, rule_id, container, priority, grantee_kind, grantee, access,
                               transform, created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

-- name: remove_rule (merchant, mode, rule)
-- Ends a rule.
delete from vault.access_rule where merchant_id = $1 and mode = $2 and rule_id = $3 returning rule_id;
