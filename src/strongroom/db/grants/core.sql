-- What each login may do in the core database. Applied anew by every `strongroom migrate`; nothing is owned.
revoke all on schema keys, audit, idempotency, identity, jobs, webhooks, payments
    from public, strongroom_vault, strongroom_gateway, strongroom_console, strongroom_sealer, strongroom_webhooks,
         strongroom_worker;
revoke all on all tables in schema keys, audit, idempotency, identity, jobs, webhooks, payments
    from public, strongroom_vault, strongroom_gateway, strongroom_console, strongroom_sealer, strongroom_webhooks,
         strongroom_worker;
revoke all on all functions in schema audit, idempotency, identity, jobs, webhooks, payments
    from public, strongroom_vault, strongroom_gateway, strongroom_console, strongroom_sealer, strongroom_webhooks,
         strongroom_worker;

-- The vault authenticates its own callers: it reads keys by their hash. What takes two people on its listener is asked for
-- and used here (see identity.approval below), with a record of both; it reads no record of this database.
grant usage on schema strongroom, keys, audit, identity to strongroom_vault;
grant insert (event_id, merchant_id, mode, payload, leaf_hash, row_mac) on audit.event to strongroom_vault;
grant insert on audit.address to strongroom_vault;
grant select on strongroom.migration, identity.merchant, identity.api_key to strongroom_vault;
-- A key that named a honeytoken is ended from here, by the one function that ends a key; none is made here, and none
-- comes back.
grant execute on function identity.end_key(text, text, text)
    to strongroom_vault, strongroom_gateway, strongroom_console;
grant select, insert on keys.data_key to strongroom_vault;

grant usage on schema strongroom, keys, audit, idempotency, identity to strongroom_gateway;
grant select on strongroom.migration, identity.merchant to strongroom_gateway;
grant select, insert on keys.data_key to strongroom_gateway;
grant select, insert on identity.api_key to strongroom_gateway;
-- As processes of an older release end keys, while there are some.
grant update (revoked_at) on identity.api_key to strongroom_gateway, strongroom_console;
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
grant select, insert on keys.change to strongroom_console;
grant select, insert on identity.merchant, identity.api_key to strongroom_console;
grant update (status) on identity.merchant to strongroom_console;
grant select, insert (event_id, merchant_id, mode, payload, leaf_hash, row_mac) on audit.event to strongroom_console;
grant select, insert on audit.address to strongroom_console;
grant select on audit.tile, audit.checkpoint, audit.tree to strongroom_console;

grant usage on schema strongroom, keys, audit to strongroom_sealer;
grant select on strongroom.migration to strongroom_sealer;
grant select, insert on keys.data_key to strongroom_sealer;
grant select, insert (event_id, merchant_id, mode, payload, leaf_hash, row_mac) on audit.event to strongroom_sealer;
grant select, insert on audit.checkpoint to strongroom_sealer;
grant select, insert, update on audit.tile, audit.tree to strongroom_sealer;

-- Payments are asked for by the gateway and go on in the worker. Both may change of them what `payments.save` changes, and
-- remove nothing; what was asked for (amount, currency, reference, wish) stays as it was written.
grant usage on schema jobs, webhooks, payments to strongroom_gateway, strongroom_worker;
grant execute on function payments.load(text, text, text, text), payments.save(jsonb), payments.save_together(jsonb)
    to strongroom_gateway, strongroom_worker;
grant select on payments.payment to strongroom_gateway, strongroom_worker;
grant update (version, status, capture_method, token_id, brand, bin, last4, connection_id, return_url, action_url,
              decline_code, advice, cancel_reason, authorized, capturing, captured, voiding, voided, refunding, refunded,
              disputed, discrepancy, updated_at, capture_before, on_expiry, capture_at, due_told_at, incrementing,
              incremented, retry_at)
    on payments.payment to strongroom_gateway, strongroom_worker;
grant select, insert, update (outcome, basis, processor_reference, settled_amount, decline_code, advice, reason, action_url,
                              lease_until, settled_at, instrument, route, scheme_transaction_id, avs_result, cvc_result,
                              looked_at, evidence, resolved_by)
    on payments.attempt to strongroom_gateway, strongroom_worker;
grant select, insert, update (status, failure_code, updated_at)
    on payments.refund to strongroom_gateway, strongroom_worker;
grant select, insert, update (status, step, amount, counted, reason, evidence_due_by, updated_at)
    on payments.dispute to strongroom_gateway, strongroom_worker;
-- What customers brought back is used up.
grant select, delete on payments.returned to strongroom_gateway, strongroom_worker;
-- Brakes are set at the gateway; both count, and see how an incident begins and ends. The worker's round removes what has
-- expired.
grant execute on function payments.brake_ask(jsonb), payments.brake_declined(text, text, text, timestamptz),
    payments.brake_moved(integer[], bigint), payments.brake_sum(integer[])
    to strongroom_gateway, strongroom_worker;
grant select on payments.brake_setting, payments.brake_entry to strongroom_gateway, strongroom_worker;
grant insert on payments.brake_setting to strongroom_gateway;
grant insert, delete on payments.brake_entry to strongroom_gateway;
grant select, insert, update on payments.brake_count, payments.brake_seen, payments.brake_pass
    to strongroom_gateway, strongroom_worker;
grant select, insert,
      update (signs, tries, declines, cards, held, passed, last_sign_at, until, next_pass_at, ended_at, ended_by)
    on payments.brake_incident to strongroom_gateway, strongroom_worker;
grant delete on payments.brake_count, payments.brake_seen, payments.brake_pass to strongroom_worker;
-- Postings are added and read; nobody changes or removes one.
grant select, insert on payments.posting to strongroom_gateway, strongroom_worker;
grant select, update (status, object_id, response, lease_until) on idempotency.request
    to strongroom_gateway, strongroom_worker;
-- Every change tells whoever listens.
grant execute on function webhooks.publish(text, text, text, text, text, text, timestamptz), webhooks.publish_all(jsonb),
    webhooks.new_delivery_id(text), jobs.put(text, text, text, text, timestamptz, timestamptz)
    to strongroom_gateway, strongroom_worker;
grant select, insert on webhooks.event, webhooks.delivery to strongroom_gateway, strongroom_worker;
grant select on webhooks.endpoint to strongroom_gateway, strongroom_worker;

-- Settlement reports come in through the gateway; the worker compares them, and alone lets them go. What a line says
-- stays as it came: the worker changes only what it is found to be.
grant select, insert,
      update (state, received, next_line, pieces, header, run, step, next_piece, next_attempt, first_attempt, last_attempt,
              lines, matched, missing_here, missing_there, amount_differs, currency_differs, doubled, kept, totals, problem,
              updated_at, ended_at)
    on payments.settlement_report to strongroom_gateway;
grant select, insert, delete on payments.settlement_piece to strongroom_gateway;
grant select on payments.settlement_line to strongroom_gateway;
grant select, delete,
      update (state, step, next_piece, next_attempt, first_attempt, last_attempt, lines, matched, missing_here,
              missing_there, amount_differs, currency_differs, doubled, kept, totals, problem, updated_at, ended_at)
    on payments.settlement_report to strongroom_worker;
grant select, delete on payments.settlement_piece to strongroom_worker;
grant select, insert, update (result), delete on payments.settlement_line to strongroom_worker;

-- Customers are the gateway's; the worker looks whether what it is to try again is still agreed to.
grant select on payments.customer, payments.saved_card, payments.mandate to strongroom_gateway;
grant select (merchant_id, mode, customer_id, token_id, status) on payments.mandate to strongroom_worker;
grant usage on schema payments to strongroom_console;
grant select (merchant_id, mode, key_version) on payments.customer, payments.mandate to strongroom_console;
grant insert, update (status, reference, metadata, sealed_personal, key_version, updated_at)
    on payments.customer to strongroom_gateway;
grant insert, update (exp_month, exp_year, is_default), delete on payments.saved_card to strongroom_gateway;
grant insert, update (status, revoked_at, sealed_evidence, key_version) on payments.mandate to strongroom_gateway;

grant select on payments.retry_policy to strongroom_gateway, strongroom_worker;
grant insert, update (enabled, delays_hours, updated_at) on payments.retry_policy to strongroom_gateway;

-- Alone the gateway makes payments, connections and endpoints. A job it puts, hastens and removes; it claims none.
grant insert on payments.payment to strongroom_gateway;
-- A version of routing rules is written once; which one holds is changed. Ranges of card numbers are loaded and cleared.
grant select, insert on payments.routing_rules to strongroom_gateway;
grant select, insert, update (version, activated_by, activated_at) on payments.routing_active to strongroom_gateway;
grant select, insert, update (last_bin, country, funding), delete on payments.bin_range to strongroom_gateway;
grant select, insert, update (status, updated_at) on payments.connection to strongroom_gateway;
grant select, insert, update (sealed_secrets, key_version, status, updated_at) on webhooks.source to strongroom_gateway;
grant insert, update (url, description, types, sealed_secrets, key_version, status, disabled_reason, updated_at)
    on webhooks.endpoint to strongroom_gateway;
-- Whoever tests a connection keeps what it found.
grant select, insert, update (probed_at, reason, failing_since, failures) on payments.connection_probe
    to strongroom_gateway, strongroom_worker;
grant select on webhooks.delivery_try to strongroom_gateway;
grant select, insert, update (run_at), delete on jobs.job to strongroom_gateway;

-- Alone the worker claims jobs, deals with notices and delivers. Where notices may come from is none of its business.
grant usage on schema strongroom, keys, audit, idempotency to strongroom_worker;
grant select on strongroom.migration to strongroom_worker;
grant select, insert on keys.data_key to strongroom_worker;
grant select, insert (event_id, merchant_id, mode, payload, leaf_hash, row_mac) on audit.event to strongroom_worker;
grant select on payments.connection to strongroom_worker;
grant select, insert, update (run_at, tries, failures), delete on jobs.job to strongroom_worker;
grant select, update (state, result, handled_at, sealed, key_version) on webhooks.notice to strongroom_worker;
grant update (status, disabled_reason, updated_at) on webhooks.endpoint to strongroom_worker;
grant update (status, tries, next_at, delivered_at) on webhooks.delivery to strongroom_worker;
grant select, insert on webhooks.delivery_try to strongroom_worker;
grant select, insert on webhooks.relayed to strongroom_worker;
grant execute on function webhooks.publish_once(text, text, text, text, text, text, text, timestamptz)
    to strongroom_worker;
grant execute on function webhooks.load_deliveries(text[], text[], text[]),
    webhooks.record_tries(text[], text[], text[], timestamptz[], integer[], text[], integer[], text[], timestamptz[],
                          integer[], timestamptz[])
    to strongroom_worker;

-- The listener that processors and customers reach: looks up what is named, keeps what was verified, asks for a look,
-- and adds to the audit log what it cannot read.
grant usage on schema strongroom, keys, audit, jobs, webhooks, payments to strongroom_webhooks;
grant select on strongroom.migration, webhooks.source, payments.payment, payments.attempt to strongroom_webhooks;
grant select, insert on keys.data_key to strongroom_webhooks;
grant select, insert on webhooks.notice, payments.returned to strongroom_webhooks;
grant select, insert, update (run_at) on jobs.job to strongroom_webhooks;
grant execute on function jobs.put(text, text, text, text, timestamptz, timestamptz) to strongroom_webhooks;
grant insert (event_id, merchant_id, mode, payload, leaf_hash, row_mac) on audit.event to strongroom_webhooks;
grant insert on audit.address to strongroom_webhooks;

-- People, their proofs and sessions belong to the console's role; every listener reads what no longer holds.
grant select, insert, update (email, name, role, status, suspended_from, last_used_at) on identity.person to strongroom_console;
grant select, insert, delete on identity.revocation to strongroom_console;
grant select on identity.revocation to strongroom_gateway, strongroom_vault;

-- Single sign-on: providers, who somebody is there, and logins under way belong to the console's role alone.
grant select, insert,
      update (name, issuer, client_id, sealed_secret, key_version, domains, redirects, role_claim, roles, required_amr,
              required_acr, max_age_seconds, creates_people, status, updated_at)
    on identity.provider to strongroom_console;
grant select, insert, update (provider_id, used_at) on identity.provider_link to strongroom_console;
grant select, insert, delete on identity.provider_flow to strongroom_console;
-- Allow-lists are changed in the console's role; every listener with keys reads them.
grant select, insert, delete, update (networks, name, changed_by, changed_at) on identity.network to strongroom_console;
grant select, insert, update (version) on identity.network_change to strongroom_console;
grant select on identity.network, identity.network_change to strongroom_gateway, strongroom_vault;
-- Passkeys: of a credential only what its use and its owner change; a challenge is put once and taken once.
grant select, insert, update (sign_count, backed_up, name, last_used_at), delete on identity.passkey
    to strongroom_console;
grant select, insert, delete on identity.passkey_challenge to strongroom_console;
-- Four eyes: asked for and used at the gateway, the vault and the console, decided at the console alone. Whoever holds
-- the gateway's or the vault's login can neither approve nor make a row that is approved; of people they see who may
-- decide, and no name or address.
grant select, insert (merchant_id, approval_id, mode, action, listener, method, route, object_id, fingerprint,
                      requested_by, requested_at, expires_at, about)
    on identity.approval to strongroom_gateway, strongroom_vault, strongroom_console;
grant update (used_at) on identity.approval to strongroom_gateway, strongroom_vault, strongroom_console;
grant update (state, decided_by, decided_at, reason, about) on identity.approval to strongroom_console;
grant select (merchant_id, person_id, role, status) on identity.person to strongroom_gateway, strongroom_vault;

-- Break-glass and access reviews are the console's. When a key was used is noted by whoever checks keys.
grant select, insert, update (expires_at, extended_at, ended_at, ended_by) on identity.break_glass to strongroom_console;
grant select, insert, update (closed_at) on identity.access_review to strongroom_console;
grant select, insert, update (decision, decided_by, decided_at) on identity.access_item to strongroom_console;
grant update (last_used_at) on identity.api_key to strongroom_gateway, strongroom_console, strongroom_vault;
-- Sessions and the keys that sign their tokens belong to the console's role; whoever verifies reads public keys, and
-- notes which proofs were used.
grant select, insert, delete, update (methods, refresh_hash, previous_hash, salt, stepped_up_at, used_at, ended_at, ended_reason)
    on identity.session to strongroom_console;
grant select, insert, update (verify_until) on identity.signing_key to strongroom_console;
grant select on identity.signing_key to strongroom_gateway, strongroom_vault;
grant select, insert, delete on identity.used_once to strongroom_console;
grant select, insert on identity.used_once to strongroom_gateway, strongroom_vault;
grant select, insert, update (public_keys, revoked_at, last_used_at) on identity.service to strongroom_console;
grant select, insert, update (ticket_hash, ticket_expires_at, openings, used_at, withdrawn_at)
    on identity.invitation to strongroom_console;
grant select, insert, update (holds), delete on identity.password to strongroom_console;
grant select, insert, update (state, last_step, sealed_secret, key_version), delete on identity.totp to strongroom_console;
grant select, insert, update (used_at), delete on identity.recovery_code to strongroom_console;
grant select, insert, delete on identity.login to strongroom_console;
grant select, insert, update (failures, locked_until, known_until, forget_at), delete on identity.login_network
    to strongroom_console;
grant select, insert, update (spent_until, forget_at), delete on identity.login_account to strongroom_console;

-- Sealing anew: operators and schedules begin it, under the console's login; each role does it for the columns that it
-- may write. Every role that seals looks each second which keys were rotated.
grant select, insert, update on keys.reseal to strongroom_console;
grant select, insert, update, delete on keys.rewrap to strongroom_console;
-- Whether a version still seals anything of webhooks is counted by who destroys it; nothing that is sealed is seen.
grant usage on schema webhooks to strongroom_console;
grant select (merchant_id, mode, key_version) on webhooks.endpoint, webhooks.source, webhooks.notice to strongroom_console;
grant select (status) on webhooks.endpoint to strongroom_console;
grant select, update (cursor, total, looked, resealed, unread, state, problem, failures, claim, run_at, updated_at, ended_at)
    on keys.reseal to strongroom_gateway, strongroom_worker;
grant select on keys.change to strongroom_gateway, strongroom_worker, strongroom_webhooks;

grant usage on schema strongroom to strongroom_backup;
grant execute on function strongroom.let_backup_read() to strongroom_backup;
