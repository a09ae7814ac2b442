-- What each login may do in the vault's database. Applied anew by every `strongroom migrate`; nothing is owned.
revoke all on schema keys, audit, idempotency, vault from public, strongroom_vault, strongroom_sealer;
revoke all on all tables in schema keys, audit, idempotency, vault from public, strongroom_vault, strongroom_sealer;
revoke all on all functions in schema audit, idempotency, vault from public, strongroom_vault, strongroom_sealer;

grant usage on schema strongroom, keys, audit, idempotency, vault to strongroom_vault;
grant select on strongroom.migration to strongroom_vault;
grant select, insert, update on keys.data_key to strongroom_vault;
grant select, insert on keys.change to strongroom_vault;
grant select, insert, update, delete on keys.rewrap to strongroom_vault;
grant select, insert (event_id, merchant_id, mode, payload, leaf_hash, row_mac) on audit.event to strongroom_vault;
grant select, insert on audit.address to strongroom_vault;
grant select on audit.tile, audit.checkpoint, audit.tree to strongroom_vault;
grant select, insert on idempotency.request to strongroom_vault;
grant select, insert, update, delete on vault.token to strongroom_vault;
grant select, insert, delete on vault.card_identity, vault.cvc_use to strongroom_vault;
grant update (token_id) on vault.card_identity to strongroom_vault;
grant select, insert, update (token_id), delete on vault.token_alias to strongroom_vault;
grant select, insert, update (sealed_credentials, key_version, status, updated_at) on vault.connection
    to strongroom_vault;
grant select, insert, update (description, retention_days, updated_at), delete on vault.container to strongroom_vault;
grant select, insert, delete on vault.access_rule to strongroom_vault;
grant select, insert, update (sealed, key_version, expires_at), delete on vault.token_detail to strongroom_vault;
grant select, insert, update (name, config, sealed, key_version, status, updated_at, credentials_changed_at)
    on vault.destination to strongroom_vault;
grant select, insert, update (outcome, status, reason, duration_ms), delete on vault.forward to strongroom_vault;
grant select, insert, update (version) on vault.container_change to strongroom_vault;
grant select, insert, update on vault.job to strongroom_vault;
grant select, insert on vault.canary, vault.region to strongroom_vault;
grant select, insert, delete on vault.reveal to strongroom_vault;
grant select, insert, update (count, stopped_at, ends_at, lifted_at, lifted_by) on vault.reveal_stop to strongroom_vault;
grant select, insert on vault.honeytoken to strongroom_vault;
grant select, insert, update (contained_at) on vault.honeytoken_use to strongroom_vault;
grant select, insert, delete on vault.import_key, vault.import_part to strongroom_vault;
grant update (sealed_private, key_version) on vault.import_key to strongroom_vault;
grant update (sealed, key_version) on vault.import_piece, vault.canary to strongroom_vault;
grant select, insert, update (state, received, consumed, layout, rows, created, duplicates, refused, digest, problem, job_id,
                              updated_at, ended_at, remembers) on vault.import to strongroom_vault;
grant select, insert, delete on vault.import_piece, vault.import_seen to strongroom_vault;
grant select, insert, delete on vault.export_piece to strongroom_vault;
grant select, insert, update (state, tokens, key_version, look_at, destroyed_at, complete_at, problem) on vault.erasure
    to strongroom_vault;
grant select, insert, delete on vault.outbox to strongroom_vault;
grant select, insert on vault.cvc_epoch to strongroom_vault;
grant select, truncate on vault.cvc_epoch_0, vault.cvc_epoch_1, vault.cvc_epoch_2, vault.cvc_epoch_3 to strongroom_vault;
grant execute on all functions in schema vault to strongroom_vault;
grant execute on function idempotency.keep_partitions(integer, integer), audit.keep_partitions(integer)
    to strongroom_vault;

grant usage on schema strongroom, keys, audit to strongroom_sealer;
grant select on strongroom.migration to strongroom_sealer;
grant select, insert on keys.data_key to strongroom_sealer;
grant select, insert (event_id, merchant_id, mode, payload, leaf_hash, row_mac) on audit.event to strongroom_sealer;
grant select, insert on audit.checkpoint to strongroom_sealer;
grant select, insert, update on audit.tile, audit.tree to strongroom_sealer;

grant usage on schema strongroom to strongroom_backup;
grant execute on function strongroom.let_backup_read() to strongroom_backup;
