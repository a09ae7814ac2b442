# SPDX-License-Identifier: Apache-2.0
"""What each login may do, as a table; a row of a merchant for each table; and asking the server as a login."""

from typing import Any, Final

from database import Databases
from strongroom.crypto.ids import new_id
from strongroom.db.logins import Domain, Login
from strongroom.db.pool import connect

_READ = frozenset({"select"})
_ADD = frozenset({"select", "insert"})
_CHANGE = frozenset({"select", "insert", "update*"})
_MOVE = frozenset({"select", "update*"})
#: Makes a row, but not one that says it is decided.
_ASK = frozenset({"select", "insert*", "update*"})
#: All that a login may do with a table; `insert*` and `update*` are rights on some columns only.
RIGHTS: Final[dict[tuple[Domain, Login], dict[str, frozenset[str]]]] = {
    (Domain.VAULT, Login.VAULT): {
        "audit.address": _ADD,
        "audit.checkpoint": _READ,
        "audit.event": frozenset({"select", "insert*"}),
        "audit.tile": _READ,
        "audit.tree": _READ,
        "idempotency.request": _ADD,
        "keys.change": _ADD,
        "keys.data_key": frozenset({"select", "insert", "update"}),
        "keys.rewrap": frozenset({"select", "insert", "update", "delete"}),
        "strongroom.migration": _READ,
        "vault.access_rule": frozenset({"select", "insert", "delete"}),
        "vault.canary": _CHANGE,
        "vault.card_identity": frozenset({"select", "insert", "update*", "delete"}),
        "vault.connection": _CHANGE,
        "vault.container": frozenset({"select", "insert", "update*", "delete"}),
        "vault.container_change": _CHANGE,
        "vault.cvc_epoch": _ADD,
        "vault.cvc_epoch_0": frozenset({"select", "truncate"}),
        "vault.cvc_epoch_1": frozenset({"select", "truncate"}),
        "vault.cvc_epoch_2": frozenset({"select", "truncate"}),
        "vault.cvc_epoch_3": frozenset({"select", "truncate"}),
        "vault.cvc_use": frozenset({"select", "insert", "delete"}),
        "vault.export_piece": frozenset({"select", "insert", "delete"}),
        "vault.honeytoken": _ADD,
        "vault.honeytoken_use": _CHANGE,
        "vault.import": _CHANGE,
        "vault.import_key": frozenset({"select", "insert", "update*", "delete"}),
        "vault.import_part": frozenset({"select", "insert", "delete"}),
        "vault.import_piece": frozenset({"select", "insert", "update*", "delete"}),
        "vault.import_seen": frozenset({"select", "insert", "delete"}),
        "vault.erasure": _CHANGE,
        "vault.job": frozenset({"select", "insert", "update"}),
        "vault.region": _ADD,
        "vault.reveal": frozenset({"select", "insert", "delete"}),
        "vault.reveal_stop": _CHANGE,
        "vault.destination": _CHANGE,
        "vault.forward": _CHANGE | {"delete"},
        "vault.outbox": frozenset({"select", "insert", "delete"}),
        "vault.token_alias": _CHANGE | {"delete"},
        "vault.token": frozenset({"select", "insert", "update", "delete"}),
        "vault.token_detail": frozenset({"select", "insert", "update*", "delete"}),
    },
    (Domain.VAULT, Login.SEALER): {
        "audit.checkpoint": _ADD,
        "audit.event": frozenset({"select", "insert*"}),
        "audit.tile": frozenset({"select", "insert", "update"}),
        "audit.tree": frozenset({"select", "insert", "update"}),
        "keys.data_key": _ADD,
        "strongroom.migration": _READ,
    },
    (Domain.CORE, Login.SEALER): {
        "audit.checkpoint": _ADD,
        "audit.event": frozenset({"select", "insert*"}),
        "audit.tile": frozenset({"select", "insert", "update"}),
        "audit.tree": frozenset({"select", "insert", "update"}),
        "keys.data_key": _ADD,
        "strongroom.migration": _READ,
    },
    (
        Domain.CORE,
        Login.VAULT,
    ): {  # authenticates its own callers, asks for approvals, and sees nothing else of this database
        "audit.address": frozenset({"insert"}),
        "audit.event": frozenset({"insert*"}),
        "identity.api_key": _MOVE,  # and notes when a key was used
        "identity.approval": _ASK,
        "identity.merchant": _READ,
        "identity.network": _READ,
        "identity.network_change": _READ,
        "identity.person": frozenset({"select*"}),  # who may approve, as for the gateway
        "identity.revocation": _READ,
        "identity.signing_key": _READ,
        "identity.used_once": _ADD,
        "keys.data_key": _ADD,
        "strongroom.migration": _READ,
    },
    (Domain.CORE, Login.GATEWAY): {
        "audit.address": _ADD,
        "audit.checkpoint": _READ,
        "audit.event": frozenset({"select", "insert*"}),
        "audit.tile": _READ,
        "audit.tree": _READ,
        "idempotency.request": _CHANGE,
        "identity.api_key": _CHANGE,
        "identity.approval": _ASK,
        "identity.merchant": _READ,
        "identity.network": _READ,
        "identity.network_change": _READ,
        "identity.person": frozenset(
            {"select*"}
        ),  # who may approve: role and status, no name and no address
        "identity.revocation": _READ,
        "identity.signing_key": _READ,
        "identity.used_once": _ADD,
        "jobs.job": frozenset({"select", "insert", "update*", "delete"}),
        "keys.change": _READ,
        "keys.data_key": _ADD,
        "keys.reseal": _MOVE,  # of the columns that it may write itself
        "payments.attempt": _CHANGE,
        "payments.bin_range": _CHANGE | {"delete"},
        "payments.brake_count": frozenset({"select", "insert", "update"}),
        "payments.brake_entry": frozenset({"select", "insert", "delete"}),
        "payments.brake_incident": _CHANGE,
        "payments.brake_pass": frozenset({"select", "insert", "update"}),
        "payments.brake_seen": frozenset({"select", "insert", "update"}),
        "payments.brake_setting": _ADD,
        "payments.connection": _CHANGE,
        "payments.customer": _CHANGE,
        "payments.dispute": _CHANGE,
        "payments.connection_probe": _CHANGE,
        "payments.mandate": _CHANGE,
        "payments.payment": _CHANGE,
        "payments.posting": _ADD,
        "payments.refund": _CHANGE,
        "payments.returned": frozenset({"select", "delete"}),
        "payments.routing_active": _CHANGE,
        "payments.routing_rules": _ADD,
        "payments.retry_policy": _CHANGE,
        "payments.saved_card": _CHANGE | {"delete"},
        "payments.settlement_line": _READ,
        "payments.settlement_piece": frozenset({"select", "insert", "delete"}),
        "payments.settlement_report": _CHANGE,
        "strongroom.migration": _READ,
        "webhooks.delivery": _ADD,
        "webhooks.delivery_try": _READ,
        "webhooks.endpoint": _CHANGE,
        "webhooks.event": _ADD,
        "webhooks.source": _CHANGE,
    },
    (Domain.CORE, Login.WORKER): {  # makes no payment, and does not see where notices come from
        "audit.event": frozenset({"select", "insert*"}),
        "idempotency.request": _MOVE,
        "jobs.job": frozenset({"select", "insert", "update*", "delete"}),
        "keys.change": _READ,
        "keys.data_key": _ADD,
        "keys.reseal": _MOVE,
        "payments.attempt": _CHANGE,
        "payments.brake_count": frozenset({"select", "insert", "update", "delete"}),
        "payments.brake_entry": _READ,
        "payments.brake_incident": _CHANGE,
        "payments.brake_pass": frozenset({"select", "insert", "update", "delete"}),
        "payments.brake_seen": frozenset({"select", "insert", "update", "delete"}),
        "payments.brake_setting": _READ,
        "payments.connection": _READ,
        "payments.dispute": _CHANGE,
        "payments.connection_probe": _CHANGE,
        "payments.mandate": frozenset({"select*"}),  # whether one holds
        "payments.retry_policy": _READ,
        "payments.payment": _MOVE,
        "payments.posting": _ADD,
        "payments.refund": _CHANGE,
        "payments.returned": frozenset({"select", "delete"}),
        "payments.settlement_line": _CHANGE | {"delete"},
        "payments.settlement_piece": frozenset({"select", "delete"}),
        "payments.settlement_report": _MOVE | {"delete"},
        "strongroom.migration": _READ,
        "webhooks.delivery": _CHANGE,
        "webhooks.delivery_try": _ADD,
        "webhooks.endpoint": _MOVE,
        "webhooks.event": _ADD,
        "webhooks.notice": _MOVE,
        "webhooks.relayed": _ADD,
    },
    (Domain.CORE, Login.WEBHOOKS): {  # anybody reaches it: it changes nothing but when a job runs
        "audit.address": frozenset({"insert"}),
        "audit.event": frozenset({"insert*"}),
        "jobs.job": _CHANGE,
        "keys.change": _READ,
        "keys.data_key": _ADD,
        "payments.attempt": _READ,
        "payments.payment": _READ,
        "payments.returned": _ADD,
        "strongroom.migration": _READ,
        "webhooks.notice": _ADD,
        "webhooks.source": _READ,
    },
    (Domain.CORE, Login.CONSOLE): {
        "audit.address": _ADD,
        "audit.checkpoint": _READ,
        "audit.event": frozenset({"select", "insert*"}),
        "audit.tile": _READ,
        "audit.tree": _READ,
        "identity.access_item": _CHANGE,
        "identity.access_review": _CHANGE,
        "identity.api_key": _CHANGE,
        "identity.approval": _ASK,
        "identity.break_glass": _CHANGE,
        "identity.login": frozenset({"select", "insert", "delete"}),
        "identity.login_account": frozenset({"select", "insert", "update*", "delete"}),
        "identity.login_network": frozenset({"select", "insert", "update*", "delete"}),
        "identity.merchant": _CHANGE,
        "identity.network": frozenset({"select", "insert", "delete", "update*"}),
        "identity.network_change": _CHANGE,
        "identity.passkey": frozenset({"select", "insert", "update*", "delete"}),
        "identity.passkey_challenge": frozenset({"select", "insert", "delete"}),
        "identity.person": _CHANGE,
        "identity.recovery_code": frozenset({"select", "insert", "update*", "delete"}),
        "identity.provider": _CHANGE,
        "identity.provider_flow": frozenset({"select", "insert", "delete"}),
        "identity.provider_link": _CHANGE,
        "identity.revocation": frozenset({"select", "insert", "delete"}),
        "identity.service": _CHANGE,
        "identity.session": frozenset({"select", "insert", "update*", "delete"}),
        "identity.signing_key": _CHANGE,
        "identity.invitation": _CHANGE,
        "identity.password": frozenset({"select", "insert", "update*", "delete"}),
        "identity.totp": frozenset({"select", "insert", "update*", "delete"}),
        "identity.used_once": frozenset({"select", "insert", "delete"}),
        "keys.change": _ADD,
        "keys.data_key": _CHANGE,
        "keys.reseal": frozenset({"select", "insert", "update"}),
        "keys.rewrap": frozenset({"select", "insert", "update", "delete"}),
        "strongroom.migration": _READ,
        # Counts what a key still seals, and sees nothing that is sealed.
        "payments.customer": frozenset({"select*"}),  # which keys seal there, as of the three below
        "payments.mandate": frozenset({"select*"}),
        "webhooks.endpoint": frozenset({"select*"}),
        "webhooks.notice": frozenset({"select*"}),
        "webhooks.source": frozenset({"select*"}),
    },
}
PAIRS: Final = sorted(RIGHTS)
#: The backup's login reads every table and has no other right: a test of its own says so.
NOT_A_ROLE: Final = frozenset({Login.BACKUP, Login.OWNER})
PAIR_IDS: Final = [f"{login} in {domain}" for domain, login in PAIRS]
SCHEMAS: Final = "('audit', 'idempotency', 'identity', 'jobs', 'keys', 'payments', 'strongroom', 'vault', 'webhooks')"

#: One row of a merchant, for each table with tenants: what the server is told. `{own}` is the merchant in the first
#: row that it has and another word in each that follows, so that `{m}` names a first row to refer to.
_HASH = "decode(md5(random()::text) || md5(random()::text), 'hex')"
ROWS: Final[dict[str, str]] = {
    "vault.access_rule": (
        "(merchant_id, mode, rule_id, container, priority, grantee_kind, grantee, access, transform, created_by,"
        " created_at)"
        " values ('{m}', 'test', '{aud}', 'default', 10, 'anybody', '', 'mask', 'mask', 'me', now())"
    ),
    "vault.container": (
        "(merchant_id, mode, name, created_by, created_at, updated_at)"
        " values ('{m}', 'test', 'c{aud}', 'me', now(), now())"
    ),
    "vault.erasure": (
        "(merchant_id, mode, erasure_id, scope, state, tokens, key_version, requested_by, requested_at, rotate_at,"
        " look_at, complete_at)"
        " values ('{m}', 'test', '{aud}', 'token', 'destroyed', 1, 1, 'x', now(), now(), now(), now())"
    ),
    "vault.honeytoken": (
        "(merchant_id, mode, token_id, created_by, created_at) values ('{m}', 'test', 'tok_{own}', 'x', now())"
    ),
    "vault.honeytoken_use": (
        "(merchant_id, mode, event_id, token_id, way, actor, used_at, contain)"
        " values ('{m}', 'test', '{aud}', 'tok_{m}', 'read', 'x', now(), false)"
    ),
    "vault.job": (
        "(merchant_id, mode, job_id, kind, state, run_at, created_by, created_at, updated_at)"
        " values ('{m}', 'test', '{aud}', 'reseal', 'waiting', now(), 'me', now(), now())"
    ),
    "audit.address": f"(merchant_id, day, reference, salt, address) values ('{{m}}', now()::date, {_HASH}, '', '')",
    "audit.event": (
        "(event_id, merchant_id, mode, payload, leaf_hash, row_mac)"
        f" values ('{{aud}}', '{{m}}', 'test', '{{{{}}}}', {_HASH}, {_HASH})"
    ),
    "idempotency.request": (
        "(day, merchant_id, mode, route, key, claim, fingerprint, status, response)"
        f" values (now()::date, '{{m}}', 'test', 'r', '{{aud}}', 'c', {_HASH}, 201, '')"
    ),
    "identity.access_item": (
        "(merchant_id, review_id, subject, kind, description, permissions, made_at, unused)"
        " values ('{m}', 'rvw_{m}', '{aud}', 'key', '', '{{}}', now(), false)"
    ),
    "identity.access_review": (
        "(merchant_id, review_id, started_by, started_at, closed_at) values ('{m}', 'rvw_{own}', 'x', now(), now())"
    ),
    "identity.api_key": (
        "(merchant_id, mode, key_id, kind, key_hash, last4, name, permissions, created_by, created_at)"
        f" values ('{{m}}', 'test', '{{aud}}', 'sk', {_HASH}, 'abcd', 'n', '{{{{}}}}', 'x', now())"
    ),
    "identity.approval": (
        "(merchant_id, approval_id, mode, action, listener, method, route, fingerprint, requested_by, requested_at,"
        f" expires_at) values ('{{m}}', '{{aud}}', 'test', 'a', 'l', 'POST', '/', {_HASH}, 'x', now(), now())"
    ),
    "identity.break_glass": (
        "(merchant_id, break_glass_id, mode, person_id, session_id, permissions, reason, started_at, expires_at)"
        " values ('{m}', '{aud}', 'test', '{aud}', 's', '{{a}}', 'ten letters', now(), now() + interval '1 minute')"
    ),
    "identity.invitation": (
        "(merchant_id, invitation_id, person_id, reason, link_hash, created_by, created_at, expires_at, used_at)"
        f" values ('{{m}}', '{{aud}}', 'usr_{{m}}', 'invited', {_HASH}, 'x', now(), now(), now())"
    ),
    "identity.merchant": (
        "(merchant_id, name, status, created_at) values ('{m}', 'n', 'active', now())"
    ),
    "identity.provider": (
        "(merchant_id, provider_id, name, issuer, client_id, sealed_secret, key_version, domains, redirects, roles,"
        " required_amr, required_acr, creates_people, status, created_by, created_at, updated_at)"
        " values ('{m}', 'sso_{own}', 'n', 'https://i', 'c', '', 1, '{{a.example}}', '{{https://c/}}', '[]',"
        " '{{mfa}}', '{{}}', false, 'active', 'x', now(), now())"
    ),
    "identity.provider_flow": (
        "(merchant_id, state_hash, provider_id, mode, redirect, created_at, expires_at)"
        f" values ('{{m}}', {_HASH}, 'sso_{{m}}', 'test', 'https://c/', now(), now())"
    ),
    "identity.provider_link": (
        "(merchant_id, issuer, subject_hash, provider_id, person_id, linked_at, used_at)"
        f" values ('{{m}}', '{{own}}', {_HASH}, 'sso_{{m}}', 'usr_{{m}}', now(), now())"
    ),
    "identity.network": (
        "(merchant_id, network_id, mode, subject, networks, name, changed_by, changed_at)"
        " values ('{m}', 'net_{own}', 'both', 'key:{aud}', '{{10.0.0.0/8}}', '', 'x', now())"
    ),
    "identity.passkey": (
        "(merchant_id, person_id, passkey_id, credential_id, public_key, sign_count, aaguid, attestation, transports,"
        " backup_eligible, backed_up, name, created_at)"
        f" values ('{{m}}', 'usr_{{m}}', '{{aud}}', {_HASH}, '', 0, '', 'none', '{{{{}}}}', false, false, 'n', now())"
    ),
    "identity.passkey_challenge": (
        "(merchant_id, challenge_hash, purpose, expires_at)"
        f" values ('{{m}}', {_HASH}, 'login', now() + interval '1 hour')"
    ),
    "identity.service": (
        "(merchant_id, mode, service_id, name, permissions, public_keys, certificate_bound, created_by, created_at)"
        " values ('{m}', 'test', '{aud}', 'n', '{{}}', '[]', false, 'x', now())"
    ),
    "identity.session": (
        "(merchant_id, session_id, person_id, mode, methods, refresh_hash, started_at, stepped_up_at, used_at, ends_at)"
        f" values ('{{m}}', '{{aud}}', 'usr_{{m}}', 'test', '{{{{mfa}}}}', {_HASH}, now(), now(), now(),"
        " now() + interval '1 hour')"
    ),
    "identity.used_once": (
        "(merchant_id, purpose, value_hash, keep_until)"
        f" values ('{{m}}', 'proof', {_HASH}, now() + interval '1 hour')"
    ),
    "identity.password": (
        "(merchant_id, person_id, password_hash, key_version, holds, set_at)"
        " values ('{m}', 'usr_{m}', 'x', 1, false, now())"
    ),
    "identity.person": (
        "(merchant_id, person_id, email, name, role, status, created_by, created_at)"
        " values ('{m}', 'usr_{own}', lower('{own}@shop.example'), 'n', 'auditor', 'active', 'x', now())"
    ),
    "identity.login": (
        "(merchant_id, handle_hash, account, proved, mode, expires_at)"
        f" values ('{{m}}', {_HASH}, 'usr_{{m}}', true, 'test', now())"
    ),
    "identity.login_account": (
        "(merchant_id, account, spent_until, forget_at) values ('{m}', '{aud}', now(), now())"
    ),
    "identity.login_network": (
        "(merchant_id, account, network, failures, forget_at)"
        f" values ('{{m}}', '{{aud}}', {_HASH}, 1, now())"
    ),
    "identity.recovery_code": (
        "(merchant_id, person_id, code_hash, made_at)"
        f" values ('{{m}}', 'usr_{{m}}', {_HASH}, now())"
    ),
    "identity.totp": (
        "(merchant_id, person_id, state, sealed_secret, key_version, last_step, created_at)"
        " values ('{m}', 'usr_{m}', 'active', '', 1, 0, now())"
        " on conflict (merchant_id, person_id, state) do update set last_step = 1"
    ),
    "keys.change": "(merchant_id, mode, name, version, what, at) values ('{m}', 'test', '{aud}', 1, 'rotated', now())",
    "keys.reseal": (
        "(merchant_id, mode, name, part, version, state, run_at, created_by, created_at, updated_at)"
        " values ('{m}', 'test', '{aud}', 'a.b.c', 1, 'waiting', now(), 'x', now(), now())"
    ),
    "keys.data_key": (
        "(merchant_id, mode, name, version, purpose, state, wrapped, mac, made_at)"
        f" values ('{{m}}', 'test', '{{aud}}', 1, 'card', 'active', '', {_HASH}, now())"
    ),
    "jobs.job": (
        "(merchant_id, mode, kind, object_id, run_at, made_at)"
        " values ('{m}', 'test', 'lookup', '{aud}', now(), now())"
    ),
    "payments.attempt": (
        "(merchant_id, mode, attempt_id, payment_id, operation, wish, connection_id, amount, currency, created_at,"
        " lease_until)"
        " values ('{m}', 'test', 'att_{own}', 'pay_{m}', 'capture', '{aud}', 'con_{m}', 1, 'AED', now(), now())"
    ),
    "payments.brake_setting": (
        "(merchant_id, mode, version, config, set_by, set_at) values ('{m}', 'test', 1, '{{}}', 'x', now())"
        " on conflict (merchant_id, mode, version) do nothing"
    ),
    "payments.brake_entry": (
        "(merchant_id, mode, entry_id, list, kind, value, enforced, reason, made_by, made_at)"
        " values ('{m}', 'test', '{aud}', 'block', 'bin', '424242', false, 'r', 'x', now())"
    ),
    "payments.brake_count": (
        "(merchant_id, mode, subject, value, window_seconds, part, tries, declines, cards, small, expires_at)"
        " values ('{m}', 'test', 'key', '{aud}', 60, 1, '{{}}', '{{}}', '{{}}', '{{}}', now())"
    ),
    "payments.brake_seen": (
        "(merchant_id, mode, subject, value, card, seen_at, expires_at)"
        " values ('{m}', 'test', 'key', '{aud}', 'c', now(), now())"
    ),
    "payments.brake_pass": (
        "(merchant_id, mode, payment_id, counters, expires_at) values ('{m}', 'test', '{aud}', '[]', now())"
    ),
    "payments.brake_incident": (
        "(merchant_id, mode, incident_id, subject, value, signs, tries, declines, cards, started_at,"
        " last_sign_at, until, next_pass_at)"
        " values ('{m}', 'test', '{aud}', 'key', '{aud}', 's', 1, 1, 1, now(), now(), now(), now())"
    ),
    "payments.connection": (
        "(merchant_id, mode, connection_id, name, processor, account, finding, status, created_at, updated_at)"
        " values ('{m}', 'test', 'con_{own}', 'n', 'simulator', 'a', 'by_reference', 'active', now(), now())"
    ),
    "payments.customer": (
        "(merchant_id, mode, customer_id, status, sealed_personal, key_version, created_at, updated_at)"
        " values ('{m}', 'test', 'cus_{own}', 'active', '', 1, now(), now())"
    ),
    "payments.mandate": (
        "(merchant_id, mode, mandate_id, customer_id, token_id, status, method, text_version, agreed_at,"
        " sealed_evidence, key_version, created_at)"
        " values ('{m}', 'test', '{aud}', 'cus_{m}', 't', 'active', 'web', '1', now(), '', 1, now())"
    ),
    "payments.retry_policy": (
        "(merchant_id, mode, enabled, delays_hours, updated_at) values ('{m}', 'test', true, '{{24}}', now())"
        " on conflict (merchant_id, mode) do update set enabled = true"
    ),
    "payments.saved_card": (
        "(merchant_id, mode, customer_id, token_id, brand, bin, last4, exp_month, exp_year, is_default, created_at)"
        " values ('{m}', 'test', 'cus_{m}', '{aud}', 'visa', '424242', '4242', 12, 2034, false, now())"
    ),
    "payments.payment": (
        "(merchant_id, mode, payment_id, version, status, amount, currency, capture_method, created_by, created_at,"
        " updated_at)"
        " values ('{m}', 'test', 'pay_{own}', 1, 'requires_confirmation', 1, 'AED', 'manual', 'x', now(), now())"
    ),
    "payments.bin_range": (
        "(merchant_id, mode, first_bin, last_bin, country, funding)"
        " values ('{m}', 'test', (random() * 999999)::integer, 999999, 'AE', 'debit')"
    ),
    "payments.routing_rules": (
        "(merchant_id, mode, version, rules, made_by, made_at)"
        " values ('{m}', 'test', (select 1 + coalesce(max(version), 0) from payments.routing_rules"
        " where merchant_id = '{m}'), '{{}}', 'x', now())"
    ),
    "payments.routing_active": (
        "(merchant_id, mode, version, activated_by, activated_at) values ('{m}', 'test', 1, 'x', now())"
        " on conflict do nothing"  # one a tenant and mode
    ),
    "payments.refund": (
        "(merchant_id, mode, refund_id, payment_id, attempt_id, amount, currency, status, created_at, updated_at)"
        " values ('{m}', 'test', '{aud}', 'pay_{m}', 'a', 1, 'AED', 'pending', now(), now())"
    ),
    "payments.dispute": (
        "(merchant_id, mode, dispute_id, payment_id, connection_id, processor_reference, status, step, amount,"
        " currency, counted, created_at, updated_at)"
        " values ('{m}', 'test', '{own}', 'pay_{m}', 'con_{m}', '{own}', 'opened', 30, 1, 'AED', 0, now(), now())"
    ),
    "payments.returned": (
        "(merchant_id, mode, attempt_id, digest, result, returned_at)"
        " values ('{m}', 'test', 'att_{m}', encode(sha256('{own}'::bytea), 'hex'), 'x', now())"
    ),
    "payments.connection_probe": (
        "(merchant_id, mode, connection_id, probed_at, failures) values ('{m}', 'test', 'con_{own}', now(), 0)"
    ),
    "payments.posting": (
        "(merchant_id, mode, payment_id, cause, debit, credit, amount, currency, connection_id, made_at)"
        " values ('{m}', 'test', 'pay_{m}', '{own}', 'holds', 'authorizations', 1, 'AED', 'con', now())"
    ),
    "payments.settlement_report": (
        "(merchant_id, mode, report_id, connection_id, format, state, digest, created_by, created_at, updated_at)"
        f" values ('{{m}}', 'test', '{{own}}', 'con_{{m}}', 'generic', 'open', {_HASH}, 'x', now(), now())"
    ),
    "payments.settlement_piece": (
        "(merchant_id, mode, report_id, number, line, bytes, content) values ('{m}', 'test', '{aud}', 0, 1, 0, '')"
    ),
    "payments.settlement_line": (
        "(merchant_id, mode, report_id, run, place, result, kind)"
        " values ('{m}', 'test', '{aud}', 1, 2, 'kept', 'fee')"
    ),
    "vault.card_identity": (
        f"(merchant_id, mode, key_version, fingerprint, token_id) values ('{{m}}', 'test', 1, {_HASH}, 't')"
    ),
    "vault.connection": (
        "(merchant_id, mode, connection_id, processor, base_url, sealed_credentials, key_version, status, created_at,"
        " updated_at)"
        " values ('{m}', 'test', '{aud}', 'simulator', 'https://api.example.com', '', 1, 'active', now(), now())"
    ),
    "vault.cvc_use": (
        "(merchant_id, mode, cvc_id, used_at) values ('{m}', 'test', '{aud}', now())"
    ),
    "vault.reveal": (
        "(merchant_id, mode, event_id, token_id, caller, purpose, revealed_at)"
        " values ('{m}', 'test', '{aud}', 't', 'x', 'dispute', now())"
    ),
    "vault.reveal_stop": (
        "(merchant_id, mode, caller, count, stopped_at, ends_at) values ('{m}', 'test', '{aud}', 1, now(), now())"
    ),
    "vault.destination": (
        "(merchant_id, mode, destination_id, name, config, sealed, key_version, status, created_by, created_at,"
        " updated_at, credentials_changed_at)"
        " values ('{m}', 'test', '{aud}', 'x', '{{}}', '', 1, 'active', 'x', now(), now(), now())"
    ),
    "vault.forward": (
        "(merchant_id, mode, key, claim, fingerprint, destination_id, cvc_state, begun_at, lease_until)"
        f" values ('{{m}}', 'test', '{{aud}}', 'x', {_HASH}, 'x', 'absent', now(), now())"
    ),
    "vault.export_piece": (
        "(merchant_id, mode, job_id, number, cards, content, digest, created_at)"
        f" values ('{{m}}', 'test', '{{aud}}', 0, 1, '', {_HASH}, now())"
    ),
    "vault.import": (
        "(merchant_id, mode, import_id, state, wish, created_by, created_at, updated_at)"
        " values ('{m}', 'test', '{aud}', 'open', '{{}}', 'x', now(), now())"
    ),
    "vault.import_key": (
        "(merchant_id, mode, key_id, certificate, public_jwk, sealed_private, key_version, created_by, created_at)"
        " values ('{m}', 'test', '{aud}', '', '', '', 1, 'x', now())"
    ),
    "vault.import_part": (
        "(merchant_id, mode, import_id, first_row, rows, results) values ('{m}', 'test', '{aud}', 0, 1, '')"
    ),
    "vault.import_piece": (
        "(merchant_id, mode, import_id, begins, sealed, key_version) values ('{m}', 'test', '{aud}', 0, '', 1)"
    ),
    "vault.outbox": (
        "(merchant_id, mode, outbox_id, type, object_id, data, happened_at)"
        " values ('{m}', 'test', '{aud}', 'import.completed', 'imp_{m}', '{{}}', now())"
    ),
    "vault.import_seen": f"(merchant_id, mode, import_id, card) values ('{{m}}', 'test', '{{aud}}', {_HASH})",
    "vault.token_alias": (
        "(merchant_id, mode, old_id, token_id, job_id, until, made_at)"
        " values ('{m}', 'test', '{aud}', 'new', 'job', now(), now())"
    ),
    "vault.token": (
        "(merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4, exp_month, exp_year,"
        " single_use, created_by, created_at)"
        " values ('{m}', 'test', 'tok_{own}', '', 1, 'visa', '424242', '4242', 12, 2034, false, 'x', now())"
    ),
    "vault.token_detail": (
        "(merchant_id, mode, token_id, field, sealed, key_version)"
        " values ('{m}', 'test', 'tok_{m}', 'holder', '', 1)"
        " on conflict (merchant_id, mode, token_id, field) do update set key_version = 1"
    ),
    "webhooks.delivery": (
        "(merchant_id, mode, delivery_id, event_id, endpoint_id, status, created_at)"
        " values ('{m}', 'test', 'dlv_{own}', 'evt_{m}', 'whe_{m}', 'pending', now())"
    ),
    "webhooks.delivery_try": (
        "(merchant_id, mode, delivery_id, number, at, reason, duration_ms)"
        " values ('{m}', 'test', 'dlv_{m}', (random() * 1e9)::integer, now(), 'x', 1)"
    ),
    "webhooks.endpoint": (
        "(merchant_id, mode, endpoint_id, url, sealed_secrets, key_version, status, created_at, updated_at)"
        " values ('{m}', 'test', 'whe_{own}', 'https://shop.example.com', '', 1, 'active', now(), now())"
    ),
    "webhooks.event": (
        "(merchant_id, mode, event_id, type, object_id, payload, created_at)"
        " values ('{m}', 'test', 'evt_{own}', 'payment.created', 'pay_{m}', '{{}}', now())"
    ),
    "webhooks.relayed": (
        "(merchant_id, mode, outbox_id, event_id, relayed_at) values ('{m}', 'test', '{aud}', 'evt_{m}', now())"
    ),
    "webhooks.notice": (
        "(merchant_id, mode, notice_id, connection_id, event_key, sealed, key_version, state, received_at)"
        " values ('{m}', 'test', '{aud}', 'con_{m}', '{aud}', '', 1, 'kept', now())"
    ),
    "webhooks.source": (
        "(merchant_id, mode, connection_id, scheme, sealed_secrets, key_version, status, created_at, updated_at)"
        " values ('{m}', 'test', 'con_{own}', 'simulator', '', 1, 'active', now(), now())"
    ),
}
#: Tables that other tables' rows refer to, each before those that refer to it.
REFERRED_TO: Final = (
    "identity.merchant",
    "identity.person",
    "identity.access_review",
    "identity.provider",
    "payments.connection",
    "payments.customer",
    "payments.payment",
    "payments.attempt",
    "payments.routing_rules",
    "webhooks.source",
    "webhooks.event",
    "webhooks.endpoint",
    "webhooks.delivery",
)
MINE, THEIRS, NOBODYS = new_id("mer"), new_id("mer"), new_id("mer")


def row_of(table: str, merchant: str, *, own: str | None = None) -> str:
    values = ROWS[table].format(m=merchant, own=own or new_id("aud"), aud=new_id("aud"))
    return f"insert into {table} {values}"


async def ask(databases: Databases, domain: Domain, sql: str, *values: object) -> list[Any]:
    connection = await connect(databases.administrator(domain))
    try:
        return [tuple(row) for row in await connection.fetch(sql, *values)]
    finally:
        await connection.close()


async def tenant_tables(databases: Databases, domain: Domain) -> list[Any]:
    """(table, row security, forced) of each table with tenants that is not a partition."""
    return await ask(
        databases,
        domain,
        f"""select n.nspname || '.' || c.relname, c.relrowsecurity, c.relforcerowsecurity
              from pg_class c join pg_namespace n on n.oid = c.relnamespace
             where n.nspname in {SCHEMAS} and c.relkind in ('r', 'p') and not c.relispartition
               and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'merchant_id')
             order by 1""",
    )


async def as_login(
    databases: Databases,
    domain: Domain,
    login: Login,
    sql: str,
    *,
    merchants: str = MINE,
    **settings: str,
) -> list[Any]:
    """Run one statement as a login in a transaction that is rolled back."""
    connection = await connect(databases.address(domain, login))
    try:
        running = connection.transaction()
        await running.start()
        await connection.execute("select set_config('strongroom.merchants', $1, true)", merchants)
        for name, value in settings.items():
            await connection.execute("select set_config($1, $2, true)", f"strongroom.{name}", value)
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def people(databases: Databases) -> None:
    """Give two merchants a row in every table with tenants."""
    for domain in Domain:
        present = {table for table, _, _ in await tenant_tables(databases, domain)}
        first = [table for table in REFERRED_TO if table in present]
        for table in (*first, *sorted(present - set(first))):
            for merchant in (MINE, THEIRS):
                await databases.run(domain, row_of(table, merchant, own=merchant))
