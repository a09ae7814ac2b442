-- name: insert_happened (merchant, mode, outbox, type, object, data, at)
-- Something that a merchant is to be told, in the transaction that makes it true.
insert into vault.outbox (merchant_id, mode, outbox_id, type, object_id, data, happened_at)
values ($1, $2, $3, $4, $5, $6, $7);

-- name: be_relay ()
-- States that this transaction hands over what every tenant is to be told (row-level security).
select set_config('strongroom.job', 'outbox', true);

-- name: waiting_to_be_told (after, limit)
-- What nobody has taken yet.
select merchant_id, mode, outbox_id, type, object_id, data, happened_at from vault.outbox
 where outbox_id > $1
 order by outbox_id
 limit $2;

-- name: forget_told (taken)
-- What was taken.
delete from vault.outbox where outbox_id = any ($1::text[]);
