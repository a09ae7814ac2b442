-- name: load_payments (merchants, modes, payments, also_attempts)
-- Payments with what decisions need, in one round trip; a payment may be named by one of its attempts. The function
-- states each one's merchant.
select payments.load(w.m, w.md, w.payment, w.also)::text as loaded
  from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality as w (m, md, payment, also, n)
 order by w.n;

-- name: save_together (rows)
-- The one write, where nothing stands against any change of a batch: all of them, or none and false (migration 0012).
select payments.save_together($1::text::jsonb);

-- name: save_changes (changes)
-- The same, change by change: each whole or not at all, all that succeed in one commit (migration 0010).
select n, result, kept::text as kept from payments.save($1::text::jsonb);

-- name: request_by_key (merchant, mode, route, key)
-- What a key was claimed or answered with, today or yesterday.
select claim, fingerprint, status, object_id, response, lease_until from idempotency.request
 where merchant_id = $1 and mode = $2 and route = $3 and key = $4
   and day between (clock_timestamp() at time zone 'utc')::date - 1 and (clock_timestamp() at time zone 'utc')::date;

-- name: attempt_by_wish (merchant, mode, payment, wish)
-- The attempt that a request made; the last one, where it went on from one processor to another.
select attempt_id from payments.attempt where merchant_id = $1 and mode = $2 and payment_id = $3 and wish = $4
 order by step desc limit 1;

-- name: payment_by_id (merchant, mode, payment)
-- One payment.
select row_to_json(p)::text as row from payments.payment p where merchant_id = $1 and mode = $2 and payment_id = $3;

-- name: list_payments (merchant, mode, before, reference, status, created_from, created_to, amount, last4, token, limit)
-- A page of a tenant's payments, newest first; what is null does not narrow it.
select row_to_json(p)::text as row
  from payments.payment p
 where merchant_id = $1 and mode = $2 and payment_id < $3
   and ($4::text is null or reference = $4)
   and ($5::text is null or status = $5)
   and ($6::timestamptz is null or created_at >= $6)
   and ($7::timestamptz is null or created_at < $7)
   and ($8::bigint is null or amount = $8)
   and ($9::text is null or last4 = $9)
   and ($10::text is null or token_id = $10)
 order by payment_id desc
 limit $11;

-- name: note_look (merchant, mode, attempt, now)
-- Somebody looked for an attempt's outcome, by the schedule.
update payments.attempt set looked_at = $4 where merchant_id = $1 and mode = $2 and attempt_id = $3;

-- name: open_attempt (merchant, mode, payment)
-- What a payment waits for, the oldest first, and when the schedule looks again.
select row_to_json(a)::text as row,
       (select j.run_at from jobs.job j
         where j.object_id = a.attempt_id and j.kind = 'lookup' and j.merchant_id = $1 and j.mode = $2) as next_look
  from payments.attempt a
 where a.merchant_id = $1 and a.mode = $2 and a.payment_id = $3
   and (a.outcome is null or a.outcome in ('pending', 'unknown'))
 order by a.attempt_id limit 1;

-- name: attempts_of_payment (merchant, mode, payment)
-- Every attempt of a payment, oldest first.
select row_to_json(a)::text as row from payments.attempt a
 where merchant_id = $1 and mode = $2 and payment_id = $3 order by attempt_id;

-- name: refunds_of_payment (merchant, mode, payment)
-- Every refund of a payment, oldest first.
select row_to_json(r)::text as row from payments.refund r
 where merchant_id = $1 and mode = $2 and payment_id = $3 order by refund_id;

-- name: refund_by_id (merchant, mode, refund)
-- One refund.
select row_to_json(r)::text as row from payments.refund r where merchant_id = $1 and mode = $2 and refund_id = $3;

-- name: dispute_by_id (merchant, mode, dispute)
-- One dispute.
select row_to_json(d)::text as row from payments.dispute d where merchant_id = $1 and mode = $2 and dispute_id = $3;

-- name: list_disputes (merchant, mode, before, status, payment, due_before, limit)
-- A page of a tenant's disputes, newest first; what is null does not narrow it.
select row_to_json(d)::text as row from payments.dispute d
 where merchant_id = $1 and mode = $2 and dispute_id < $3
   and ($4::text is null or status = $4)
   and ($5::text is null or payment_id = $5)
   and ($6::timestamptz is null or evidence_due_by < $6)
 order by dispute_id desc
 limit $7;

-- name: attempt_by_processor_reference (merchant, mode, connection, reference)
-- The authorization that a processor calls so.
select attempt_id from payments.attempt
 where merchant_id = $1 and mode = $2 and connection_id = $3 and processor_reference = $4
   and operation in ('authorize', 'sale') and processor_reference is not null;

-- name: insert_connection (merchant, mode, connection, name, processor, account, finding, now)
-- A new connection.
insert into payments.connection
       (merchant_id, mode, connection_id, name, processor, account, finding, status, created_at, updated_at)
values ($1, $2, $3, $4, $5, $6, $7, 'active', $8, $8);

-- name: connections (merchant, mode)
-- A tenant's connections, newest first.
select merchant_id, mode, connection_id, name, processor, account, finding, status, created_at, updated_at
  from payments.connection where merchant_id = $1 and mode = $2 order by connection_id desc;

-- name: disable_connection (merchant, mode, connection, now)
-- Ends a connection; one that has ended stays as it is.
update payments.connection set status = 'disabled', updated_at = $4
 where merchant_id = $1 and mode = $2 and connection_id = $3
returning connection_id;

-- name: touch_connection (merchant, mode, connection, now)
-- Its credentials or secrets were changed.
update payments.connection set updated_at = $4
 where merchant_id = $1 and mode = $2 and connection_id = $3 and status = 'active'
returning processor;

-- name: present_payment (payment)
-- States which payment's row this transaction may look for (row-level security).
select set_config('strongroom.presented_payment', $1, true);

-- name: returned_payment (payment)
-- The payment that a customer returns for.
select merchant_id, mode, payment_id, return_url, status from payments.payment where payment_id = $1;

-- name: state_merchant (merchant)
-- From here on this transaction sees that tenant's rows.
select set_config('strongroom.merchants', $1, true);

-- name: open_authorization (merchant, mode, payment)
-- The attempt that waits for the customer.
select attempt_id from payments.attempt
 where merchant_id = $1 and mode = $2 and payment_id = $3
   and operation in ('authorize', 'sale', 'verify') and (outcome is null or outcome in ('pending', 'unknown'));

-- name: ask_for_a_look (merchant, mode, attempt, now)
-- A customer came back: look at the attempt now.
select jobs.put($1, $2, 'lookup', $3, $4, $4);

-- name: keep_returned (merchant, mode, attempt, digest, result, now)
-- What a customer brought back, at most five of an attempt.
insert into payments.returned (merchant_id, mode, attempt_id, digest, result, returned_at)
select $1, $2, $3, $4, $5, $6
 where (select count(*) from payments.returned where merchant_id = $1 and mode = $2 and attempt_id = $3) < 5
    on conflict do nothing;

-- name: returned_results (merchant, mode, attempt)
-- What customers brought back for an attempt, newest first.
select digest, result from payments.returned
 where merchant_id = $1 and mode = $2 and attempt_id = $3 order by returned_at desc, digest;

-- name: forget_returned (merchant, mode, attempt, digest)
-- It was handed on, and answered.
delete from payments.returned where merchant_id = $1 and mode = $2 and attempt_id = $3 and digest = $4;

-- name: record_is_there (event)
-- Whether a change whose connection broke was committed: its audit record is in the same transaction.
select event_id from audit.event where event_id = $1;

-- name: trial_balance (merchant, mode)
-- What was posted in each account and currency.
select account, currency, sum(debit)::bigint as debits, sum(credit)::bigint as credits
  from (select p.debit as account, p.currency, p.amount as debit, 0 as credit from payments.posting p
         where p.merchant_id = $1 and p.mode = $2
         union all
        select p.credit, p.currency, 0, p.amount from payments.posting p
         where p.merchant_id = $1 and p.mode = $2) as sides
 group by account, currency order by currency, account;

-- name: list_postings (merchant, mode, account, currency, payment, made_from, made_to, behind_moment, behind_payment, behind_cause, limit)
-- A page of postings, oldest first; what is null does not narrow it.
select row_to_json(p)::text as row from payments.posting p
 where merchant_id = $1 and mode = $2
   and ($3::text is null or debit = $3 or credit = $3)
   and ($4::text is null or currency = $4)
   and ($5::text is null or payment_id = $5)
   and ($6::timestamptz is null or made_at >= $6)
   and ($7::timestamptz is null or made_at < $7)
   and ($8::timestamptz is null or (made_at, payment_id, cause) > ($8, $9::text, $10::text))
 order by made_at, payment_id, cause
 limit $11;

-- name: be_bookkeeper ()
-- States that this transaction compares every tenant's payments with the ledger, and changes none (row-level security).
select set_config('strongroom.job', 'books', true);

-- name: ledger_differences (merchant, mode, limit)
-- Payments whose balances are not what was posted for them; null: every tenant's that may be seen. Postings of a payment
-- that is not there count as well: then its own figures are null.
select coalesce(p.merchant_id, s.merchant_id) as merchant_id, coalesce(p.mode, s.mode) as mode,
       coalesce(p.payment_id, s.payment_id) as payment_id,
       coalesce(p.authorized - p.captured - p.voided, 0) as held, coalesce(s.held, 0)::bigint as posted_held,
       coalesce(p.captured, 0) as captured, coalesce(s.captured, 0)::bigint as posted_captured,
       coalesce(p.refunded, 0) as refunded, coalesce(s.refunded, 0)::bigint as posted_refunded,
       coalesce(p.disputed, 0) as disputed, coalesce(s.disputed, 0)::bigint as posted_disputed
  from (select * from payments.payment where ($1::text is null or merchant_id = $1) and ($2::text is null or mode = $2)) p
  full join (select merchant_id, mode, payment_id,
                    sum(case when debit = 'holds' then amount when credit = 'holds' then -amount else 0 end) as held,
                    sum(case when credit = 'sales' then amount when debit = 'sales' then -amount else 0 end) as captured,
                    sum(case when debit = 'refunds' then amount when credit = 'refunds' then -amount else 0 end) as refunded,
                    sum(case when debit = 'disputes' then amount when credit = 'disputes' then -amount else 0 end) as disputed
               from payments.posting
              where ($1::text is null or merchant_id = $1) and ($2::text is null or mode = $2)
              group by merchant_id, mode, payment_id) s
    on s.merchant_id = p.merchant_id and s.mode = p.mode and s.payment_id = p.payment_id
 where coalesce(p.authorized - p.captured - p.voided, 0) <> coalesce(s.held, 0)
    or coalesce(p.captured, 0) <> coalesce(s.captured, 0)
    or coalesce(p.refunded, 0) <> coalesce(s.refunded, 0)
    or coalesce(p.disputed, 0) <> coalesce(s.disputed, 0)
 order by 3
 limit $3;
