-- name: present_login (handle_hash_hex)
-- States which login's handle this transaction may look for (row-level security).
select set_config('strongroom.presented_login', $1, true);

-- name: insert_login (merchant, handle_hash, account, proved, mode, expires_at)
-- A login whose first step was taken.
insert into identity.login (merchant_id, handle_hash, account, proved, mode, expires_at) values ($1, $2, $3, $4, $5, $6);

-- name: login_by_handle (handle_hash, now)
-- The login behind a presented handle, while it may go on.
select merchant_id, handle_hash, account, proved, mode from identity.login where handle_hash = $1 and expires_at > $2;

-- name: end_login (merchant, handle_hash)
-- Ends a login under way. Of two that finish at once, one does.
delete from identity.login where merchant_id = $1 and handle_hash = $2;

-- name: hold_network (merchant, account, network, forget_at)
-- Locks what is counted of a network's tries at an account, making it at the first, until the transaction ends.
insert into identity.login_network (merchant_id, account, network, failures, forget_at) values ($1, $2, $3, 0, $4)
    on conflict (merchant_id, account, network) do update set forget_at = greatest(login_network.forget_at, $4)
returning failures, locked_until, known_until;

-- name: save_network (merchant, account, network, failures, locked_until, known_until, forget_at)
-- Keeps what was decided of it.
update identity.login_network set failures = $4, locked_until = $5, known_until = $6, forget_at = $7
 where merchant_id = $1 and account = $2 and network = $3;

-- name: hold_account (merchant, account, now, forget_at)
-- Locks what strangers have spent of an account's tries, likewise. Always after the network.
insert into identity.login_account (merchant_id, account, spent_until, forget_at) values ($1, $2, $3, $4)
    on conflict (merchant_id, account) do update set forget_at = greatest(login_account.forget_at, $4)
returning spent_until;

-- name: save_account (merchant, account, spent_until)
-- Keeps what was decided of it.
update identity.login_account set spent_until = $3 where merchant_id = $1 and account = $2;

-- name: clear_networks (merchant, account)
-- Lifts the locks of every network; which ones are known stays.
update identity.login_network set failures = 0, locked_until = null
 where merchant_id = $1 and account = $2 and failures > 0;

-- name: clear_account (merchant, account)
-- Gives strangers their tries back.
delete from identity.login_account where merchant_id = $1 and account = $2;

-- name: last_lock (merchant, account, now)
-- Until when the last of the locked networks is locked.
select max(locked_until) as locked_until from identity.login_network
 where merchant_id = $1 and account = $2 and locked_until > $3;

-- name: sweep_logins ()
-- Removes logins that were never finished. Row-level security shows what is past, whoever's it is.
delete from identity.login where expires_at < now() - interval '1 hour';

-- name: sweep_networks ()
-- Forgets networks that have been quiet.
delete from identity.login_network where forget_at < now() - interval '1 hour';

-- name: sweep_accounts ()
-- Likewise accounts.
delete from identity.login_account where forget_at < now() - interval '1 hour';
