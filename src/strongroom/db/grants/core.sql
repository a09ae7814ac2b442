-- What each login may do in the core database. Applied anew by every `strongroom migrate`; nothing is owned.
revoke all on schema keys, audit, idempotency, identity
    from public, strongroom_vault, strongroom_gateway, strongroom_console, strongroom_sealer;
revoke all on all tables in schema keys, audit, idempotency, identity
    from public, strongroom_vault, strongroom_gateway, strongroom_console, strongroom_sealer;
revoke all on all functions in schema audit, idempotency
    from public, strongroom_vault, strongroom_gateway, strongroom_console, strongroom_sealer;

-- The vault authenticates its own callers: it reads keys by their hash, and nothing else of this database.
grant usage on schema strongroom, keys, identity to strongroom_vault;
grant select on strongroom.migration, identity.merchant, identity.api_key to strongroom_vault;
grant select, insert on keys.data_key to strongroom_vault;

grant usage on schema strongroom, keys, audit, idempotency, identity to strongroom_gateway;
grant select on strongroom.migration, identity.merchant to strongroom_gateway;
grant select, insert on keys.data_key to strongroom_gateway;
grant select, insert on identity.api_key to strongroom_gateway;
grant update (revoked_at) on identity.api_key to strongroom_gateway;
grant select, insert (event_id, merchant_id, mode, payload, leaf_hash, row_mac) on audit.event to strongroom_gateway;
grant select, insert on audit.address to strongroom_gateway;
grant select on audit.tile, audit.checkpoint, audit.tree to strongroom_gateway;
grant select, insert on idempotency.request to strongroom_gateway;
grant execute on function idempotency.keep_partitions(integer, integer), audit.keep_partitions(integer)
    to strongroom_gateway;

-- The operators' commands: merchants and their first keys.
grant usage on schema strongroom, keys, audit, identity to strongroom_console;
grant select on strongroom.migration to strongroom_console;
grant select, insert on keys.data_key to strongroom_console;
grant update (state, wrapped, mac) on keys.data_key to strongroom_console;
grant select, insert on identity.merchant, identity.api_key to strongroom_console;
grant update (status) on identity.merchant to strongroom_console;
grant update (revoked_at) on identity.api_key to strongroom_console;
grant select, insert (event_id, merchant_id, mode, payload, leaf_hash, row_mac) on audit.event to strongroom_console;
grant select, insert on audit.address to strongroom_console;
grant select on audit.tile, audit.checkpoint, audit.tree to strongroom_console;

grant usage on schema strongroom, keys, audit to strongroom_sealer;
grant select on strongroom.migration to strongroom_sealer;
grant select, insert on keys.data_key to strongroom_sealer;
grant select, insert (event_id, merchant_id, mode, payload, leaf_hash, row_mac) on audit.event to strongroom_sealer;
grant select, insert on audit.checkpoint to strongroom_sealer;
grant select, insert, update on audit.tile, audit.tree to strongroom_sealer;
