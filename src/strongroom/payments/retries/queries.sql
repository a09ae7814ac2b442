-- name: policy (merchant, mode)
-- What a merchant wants tried again, and when.
select enabled, delays_hours, updated_at from payments.retry_policy where merchant_id = $1 and mode = $2;

-- name: put_policy (merchant, mode, enabled, delays_hours, now)
-- The same, said anew.
insert into payments.retry_policy (merchant_id, mode, enabled, delays_hours, updated_at)
values ($1, $2, $3, $4::integer[], $5)
    on conflict (merchant_id, mode) do update
   set enabled = excluded.enabled, delays_hours = excluded.delays_hours, updated_at = excluded.updated_at;

-- name: tries_of_payment (merchant, mode, payment)
-- The attempts that began a payment or tried to, oldest first.
select row_to_json(a)::text as row from payments.attempt a
 where merchant_id = $1 and mode = $2 and payment_id = $3 and operation in ('authorize', 'sale', 'verify')
 order by attempt_id;

-- name: asked_with (merchant, mode, token, since, most)
-- When a card was asked with by payments that the merchant began; what was certainly not sent does not count.
select created_at from payments.attempt
 where merchant_id = $1 and mode = $2 and token_id = $3 and created_at > $4 and outcome is distinct from 'not_sent'
 order by created_at desc
 limit $5;
