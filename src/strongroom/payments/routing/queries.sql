-- name: active_rules (merchant, mode)
-- The rules that hold.
select a.version, r.rules::text as rules
  from payments.routing_active a
  join payments.routing_rules r on r.merchant_id = a.merchant_id and r.mode = a.mode and r.version = a.version
 where a.merchant_id = $1 and a.mode = $2;

-- name: rule_versions (merchant, mode, before, limit)
-- Versions of a tenant's rules, newest first, and which one holds.
select r.version, r.rules::text as rules, r.note, r.made_by, r.made_at, a.version is not null as active,
       a.activated_by, a.activated_at
  from payments.routing_rules r
  left join payments.routing_active a on a.merchant_id = r.merchant_id and a.mode = r.mode and a.version = r.version
 where r.merchant_id = $1 and r.mode = $2 and ($3::integer is null or r.version < $3)
 order by r.version desc
 limit $4;

-- name: insert_rules (merchant, mode, rules, note, actor, now)
-- The next version. Two at once: the second breaks the primary key, and says so.
insert into payments.routing_rules (merchant_id, mode, version, rules, note, made_by, made_at)
select $1, $2, coalesce(max(version), 0) + 1, $3::text::jsonb, $4, $5, $6
  from payments.routing_rules where merchant_id = $1 and mode = $2
returning version;

-- name: activate_rules (merchant, mode, version, actor, now)
-- Lets a version hold. One that is not there breaks the foreign key.
insert into payments.routing_active (merchant_id, mode, version, activated_by, activated_at)
values ($1, $2, $3, $4, $5)
    on conflict (merchant_id, mode) do update
   set version = excluded.version, activated_by = excluded.activated_by, activated_at = excluded.activated_at
returning version;

-- name: range_of_bin (merchant, mode, bin)
-- What a tenant knows of the issuer of a card; of ranges within each other the one that begins last.
select country, funding from payments.bin_range
 where merchant_id = $1 and mode = $2 and first_bin <= $3 and last_bin >= $3
 order by first_bin desc limit 1;

-- name: load_ranges (merchant, mode, firsts, lasts, countries, fundings)
-- Adds ranges; one that begins where another did takes its place.
insert into payments.bin_range (merchant_id, mode, first_bin, last_bin, country, funding)
select $1, $2, r.first_bin, r.last_bin, r.country, r.funding
  from unnest($3::integer[], $4::integer[], $5::text[], $6::text[]) as r (first_bin, last_bin, country, funding)
    on conflict (merchant_id, mode, first_bin) do update
   set last_bin = excluded.last_bin, country = excluded.country, funding = excluded.funding;

-- name: clear_ranges (merchant, mode)
-- Removes a tenant's ranges.
delete from payments.bin_range where merchant_id = $1 and mode = $2;

-- name: list_ranges (merchant, mode, behind, limit)
-- A page of a tenant's ranges, in their order.
select first_bin, last_bin, country, funding from payments.bin_range
 where merchant_id = $1 and mode = $2 and first_bin > $3
 order by first_bin limit $4;
