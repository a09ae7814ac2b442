-- name: insert_report (merchant, mode, report, connection, format, digest, period_from, period_to, created_by, now)
-- A new report, unless this file is one of the connection's already.
insert into payments.settlement_report (merchant_id, mode, report_id, connection_id, format, state, digest, period_from,
                                        period_to, created_by, created_at, updated_at)
values ($1, $2, $3, $4, $5, 'open', $6, $7, $8, $9, $10, $10)
    on conflict (connection_id, digest, merchant_id, mode) where state <> 'failed' do nothing;

-- name: report_by_digest (merchant, mode, connection, digest)
-- The report that a file is already.
select row_to_json(r)::text as row from payments.settlement_report r
 where connection_id = $3 and digest = $4 and merchant_id = $1 and mode = $2 and state <> 'failed';

-- name: report_by_id (merchant, mode, report)
-- One report.
select row_to_json(r)::text as row from payments.settlement_report r
 where merchant_id = $1 and mode = $2 and report_id = $3;

-- name: lock_report (merchant, mode, report)
-- Likewise; nobody else changes it until this transaction ends.
select row_to_json(r)::text as row from payments.settlement_report r
 where merchant_id = $1 and mode = $2 and report_id = $3
   for update;

-- name: list_reports (merchant, mode, before, connection, limit)
-- A page of a tenant's reports, newest first; of one connection, if that is given.
select row_to_json(r)::text as row from payments.settlement_report r
 where merchant_id = $1 and mode = $2 and report_id < $3 and ($4::text is null or connection_id = $4)
 order by report_id desc limit $5;

-- name: insert_piece (merchant, mode, report, number, line, bytes, content)
-- A piece of a file, of whole lines.
insert into payments.settlement_piece (merchant_id, mode, report_id, number, line, bytes, content)
values ($1, $2, $3, $4, $5, $6, $7);

-- name: pieces_from (merchant, mode, report, number, limit)
-- Some pieces of a file, in their order.
select number, line, bytes, content from payments.settlement_piece
 where merchant_id = $1 and mode = $2 and report_id = $3 and number >= $4
 order by number limit $5;

-- name: report_taken (merchant, mode, report, received, next_line, pieces, header, state, now)
-- How much of a file is there by now.
update payments.settlement_report
   set received = $4, next_line = $5, pieces = $6, header = $7, state = $8, updated_at = $9
 where merchant_id = $1 and mode = $2 and report_id = $3;

-- name: report_failed (merchant, mode, report, problem, now)
-- A report that is not read any further.
update payments.settlement_report set state = 'failed', problem = $4, updated_at = $5, ended_at = $5
 where merchant_id = $1 and mode = $2 and report_id = $3;

-- name: read_again (merchant, mode, report, now)
-- A report that is compared anew: what was found goes first.
update payments.settlement_report
   set state = 'received', run = run + 1, step = 'clear', next_piece = 0, next_attempt = null, first_attempt = null,
       last_attempt = null, lines = 0, matched = 0, missing_here = 0, missing_there = 0, amount_differs = 0,
       currency_differs = 0, doubled = 0, kept = 0, totals = '{}', updated_at = $4, ended_at = null
 where merchant_id = $1 and mode = $2 and report_id = $3;

-- name: report_stepped (merchant, mode, report, now, progress)
-- How far a comparison is, and what it has found.
update payments.settlement_report r
   set (state, step, next_piece, next_attempt, first_attempt, last_attempt, lines, matched, missing_here, missing_there,
        amount_differs, currency_differs, doubled, kept, totals, updated_at, ended_at)
     = (p.state, p.step, p.next_piece, p.next_attempt, p.first_attempt, p.last_attempt, p.lines, p.matched, p.missing_here,
        p.missing_there, p.amount_differs, p.currency_differs, p.doubled, p.kept, p.totals, $4, p.ended_at)
  from jsonb_populate_record(null::payments.settlement_report, $5::text::jsonb) p
 where r.merchant_id = $1 and r.mode = $2 and r.report_id = $3;

-- name: put_job (merchant, mode, report, now)
-- Lets a worker go on with a report.
select jobs.put($1, $2, 'settlement', $3, $4, $4);

-- name: publish (merchant, mode, event, type, object, payload, now)
-- Tells whoever listens.
select webhooks.publish($1, $2, $3, $4, $5, $6, $7);

-- name: prefer_indexes ()
-- Lets this transaction's joins go through the indexes, however large the planner thinks what they lead into.
select set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('enable_seqscan', 'off', true);

-- name: compare_lines (merchant, mode, report, run, connection, places, kinds, words, processor_references, payment_references, our_references, gross, fees, nets, currencies, presented, presented_currencies, booked, batches, fingerprints, again)
-- Finds the attempt that each line is about (by our reference, the processor's name of the movement, its name of the
-- payment: one that several attempts have leads nowhere), says what the line is, and keeps it. Says besides which attempts
-- have several lines by now. Reports are named by expressions where another index has to lead: to a planner without
-- statistics one by report seems as good.
with named as materialized (
    select l.*,
           coalesce(o.attempt_id, p.attempt_id, q.attempt_id) as attempt_id,
           coalesce(o.payment_id, p.payment_id, q.payment_id) as payment_id,
           coalesce(o.currency, p.currency, q.currency) as expected_currency,
           coalesce(o.came_to, p.came_to, q.came_to) as expected,
           case l.kind when 'refund' then -1 else 1 end as sign
      from unnest($6::bigint[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::bigint[], $13::bigint[],
                  $14::bigint[], $15::text[], $16::bigint[], $17::text[], $18::timestamptz[], $19::text[], $20::bigint[],
                  $21::boolean[])
           as l (place, kind, word, processor_reference, payment_reference, our_reference, gross, fee, net, line_currency,
                 presented_amount, presented_currency, booked_at, batch, fingerprint, again)
      left join lateral (
            select a.attempt_id, a.payment_id, a.currency,
                   case when a.outcome = 'approved' and not (a.operation = 'sale' and a.reason is not distinct from 'capture_failed')
                        then coalesce(a.settled_amount, a.amount) else 0 end as came_to
              from payments.attempt a
             where a.merchant_id = $1 and a.mode = $2 and a.attempt_id = l.our_reference and a.connection_id = $5
               and a.operation in ('capture', 'refund', 'sale') and (a.operation = 'refund') = (l.kind = 'refund')
               and l.kind in ('capture', 'refund')) o on true
      left join lateral (
            select min(a.attempt_id) as attempt_id, min(a.payment_id) as payment_id, min(a.currency) as currency,
                   min(case when a.outcome = 'approved' and not (a.operation = 'sale' and a.reason is not distinct from 'capture_failed')
                            then coalesce(a.settled_amount, a.amount) else 0 end) as came_to
              from payments.attempt a
             where o.attempt_id is null and l.kind in ('capture', 'refund')
               and a.processor_reference = l.processor_reference and a.connection_id = $5
               and a.merchant_id = $1 and a.mode = $2
               and a.operation in ('capture', 'refund', 'sale') and (a.operation = 'refund') = (l.kind = 'refund')
            having count(*) = 1) p on true
      left join lateral (
            select min(a.attempt_id) as attempt_id, min(a.payment_id) as payment_id, min(a.currency) as currency,
                   min(case when a.outcome = 'approved' and not (a.operation = 'sale' and a.reason is not distinct from 'capture_failed')
                            then coalesce(a.settled_amount, a.amount) else 0 end) as came_to
              from payments.attempt a
             where o.attempt_id is null and p.attempt_id is null and l.kind = 'capture'
               and a.processor_reference = l.payment_reference and a.connection_id = $5
               and a.merchant_id = $1 and a.mode = $2 and a.operation in ('capture', 'sale')
            having count(*) = 1) q on true
), weighed as (
    select n.*,
           n.sign * case when n.presented_currency = n.expected_currency then n.presented_amount
                         when n.line_currency = n.expected_currency then n.gross end as compared,
           n.again or coalesce(e.is_same, false) or coalesce(u.is_same, false) as is_again,
           e.attempt_id is not null as has_others
      from named n
      left join lateral (
            select min(e.attempt_id) as attempt_id, bool_or(e.fingerprint = n.fingerprint) as is_same
              from payments.settlement_line e
             where e.attempt_id = n.attempt_id and e.report_id || '' = $3 and e.run + 0 = $4
            having count(*) > 0) e on true
      left join lateral (
            select true as is_same
              from payments.settlement_line u
             where n.attempt_id is null and u.attempt_id is null and u.fingerprint = n.fingerprint
               and u.report_id || '' = $3 and u.run + 0 = $4
             limit 1) u on true
), kept as (
    insert into payments.settlement_line
          (merchant_id, mode, report_id, run, place, result, kind, word, attempt_id, payment_id, processor_reference,
           our_reference, batch, booked_at, gross, fee, net, currency, presented_amount, presented_currency, expected,
           expected_currency, compared, fingerprint)
    select $1, $2, $3, $4, w.place,
           case when w.is_again then 'doubled'
                when w.kind not in ('capture', 'refund') then 'kept'
                when w.attempt_id is null then 'missing_here'
                when w.compared is null then 'currency_differs'
                when w.compared = w.expected then 'matched'
                when w.expected = 0 then 'missing_here'
                else 'amount_differs' end,
           w.kind, w.word, w.attempt_id, w.payment_id, w.processor_reference, w.our_reference, w.batch, w.booked_at,
           w.gross, w.fee, w.net, w.line_currency, w.presented_amount, w.presented_currency, w.expected,
           w.expected_currency, w.compared, w.fingerprint
      from weighed w
    returning result, attempt_id, compared, kind, currency, gross, fee, net
)
select result, kind, currency, count(*) as lines, sum(gross)::text as gross, sum(fee)::text as fee, sum(net)::text as net,
       min(attempt_id) filter (where compared > 0 and result <> 'doubled') as first_attempt,
       max(attempt_id) filter (where compared > 0 and result <> 'doubled') as last_attempt,
       (select array_agg(s.attempt_id) from (
            select k.attempt_id from kept k where k.attempt_id is not null and k.result <> 'doubled'
             group by k.attempt_id having count(*) > 1
            union
            select w.attempt_id from weighed w where w.has_others and not w.is_again) s) as several
  from kept group by result, kind, currency;

-- name: sums_of_attempts (merchant, mode, report, run, attempts)
-- Where several lines are about one attempt, it is their sum that is compared, whichever line came first: what those
-- lines are by that, if it is something else than was thought.
with many as materialized (
    select l.attempt_id,
           case when bool_or(l.compared is null) then 'currency_differs'
                when sum(l.compared) = max(l.expected) then 'matched'
                when max(l.expected) = 0 then 'missing_here'
                else 'amount_differs' end as result
      from unnest($5::text[]) t (attempt_id)
      join payments.settlement_line l on l.attempt_id = t.attempt_id and l.report_id || '' = $3 and l.run + 0 = $4
                                     and l.merchant_id || '' = $1 and l.mode || '' = $2
     where l.result not in ('doubled', 'missing_there')
     group by l.attempt_id
)
select l.place, l.result as was, m.result as is_now
  from many m
  join payments.settlement_line l on l.attempt_id = m.attempt_id and l.report_id || '' = $3 and l.run + 0 = $4
 where l.result not in ('doubled', 'missing_there') and l.result <> m.result;

-- name: result_is (merchant, mode, report, run, places, result)
-- Lines that are found to be something else than was thought.
update payments.settlement_line set result = $6
 where merchant_id = $1 and mode = $2 and report_id = $3 and run = $4 and place = any ($5::bigint[]);

-- name: look_for_unnamed (merchant, mode, report, run, connection, behind, last, scanned, place)
-- Of the next attempts in a period, those that came to something and that no line of any report names. Kept as lines of
-- their own, from a place on. Says how far it looked: null when that was to the end.
with attempts as materialized (
    select a.attempt_id, a.payment_id, a.operation, a.processor_reference, a.currency, a.connection_id, a.outcome,
           a.reason, coalesce(a.settled_amount, a.amount) as came_to
      from payments.attempt a
     where a.merchant_id = $1 and a.mode = $2 and a.attempt_id > $6 and a.attempt_id <= $7
     order by a.attempt_id limit $8
), unnamed as (
    insert into payments.settlement_line
          (merchant_id, mode, report_id, run, place, result, kind, attempt_id, payment_id, processor_reference, expected,
           expected_currency)
    select $1, $2, $3, $4, $9 + row_number() over (order by a.attempt_id), 'missing_there',
           case a.operation when 'refund' then 'refund' else 'capture' end, a.attempt_id, a.payment_id,
           a.processor_reference, a.came_to, a.currency
      from attempts a
     where a.connection_id = $5 and a.operation in ('capture', 'refund', 'sale') and a.outcome = 'approved'
       and not (a.operation = 'sale' and a.reason is not distinct from 'capture_failed')
       and not exists (select from payments.settlement_line l
                        where l.attempt_id = a.attempt_id and l.result <> 'missing_there')
    returning 1
)
select (select count(*) from unnamed) as missing,
       (select max(attempt_id) from attempts having count(*) = $8) as looked_to;

-- name: clear_lines (merchant, mode, report, before_run, limit)
-- Removes some of what earlier runs found.
delete from payments.settlement_line
 where merchant_id = $1 and mode = $2 and report_id = $3 and run < $4
   and ctid = any (array(select l.ctid from payments.settlement_line l
                          where l.merchant_id = $1 and l.mode = $2 and l.report_id = $3 and l.run < $4 limit $5));

-- name: lines_from (merchant, mode, report, run, behind, limit)
-- What became of the lines of a file, in its order.
select row_to_json(l)::text as row from payments.settlement_line l
 where merchant_id = $1 and mode = $2 and report_id = $3 and run = $4 and place > $5
 order by place limit $6;

-- name: lines_that_are (merchant, mode, report, run, result, behind, limit)
-- Those that were found to be one thing.
select row_to_json(l)::text as row from payments.settlement_line l
 where merchant_id = $1 and mode = $2 and report_id = $3 and run = $4 and result = $5 and place > $6
 order by place limit $7;

-- name: lines_that_differ (merchant, mode, report, run, behind, limit)
-- Those on which the processor and we do not agree.
select row_to_json(l)::text as row from payments.settlement_line l
 where merchant_id = $1 and mode = $2 and report_id = $3 and run = $4 and result not in ('matched', 'kept') and place > $5
 order by place limit $6;

-- name: drop_pieces (merchant, mode, report, limit)
-- Removes some pieces of a file.
delete from payments.settlement_piece
 where merchant_id = $1 and mode = $2 and report_id = $3
   and number = any (array(select p.number from payments.settlement_piece p
                            where p.merchant_id = $1 and p.mode = $2 and p.report_id = $3 order by p.number limit $4));

-- name: be_settlement_retention ()
-- States that this transaction looks for reports that are to go, whoever's they are (row-level security).
select set_config('strongroom.job', 'settlement_retention', true);

-- name: reports_to_go (before, limit)
-- Reports that were made before a moment, of every tenant, the oldest first.
select merchant_id, mode, report_id from payments.settlement_report where created_at < $1 order by created_at limit $2;

-- name: stale_uploads (before, limit)
-- Reports whose files stopped coming before a moment.
select merchant_id, mode, report_id from payments.settlement_report
 where state = 'open' and updated_at < $1 order by created_at limit $2;

-- name: drop_report (merchant, mode, report)
-- Removes a report of which nothing else is left.
delete from payments.settlement_report where merchant_id = $1 and mode = $2 and report_id = $3;
