-- Disputes: what cardholders take back through their issuers, as processors tell of it.
create table payments.dispute (
    merchant_id         text        not null,
    mode                text        not null check (mode in ('live', 'test')),
    dispute_id          text        not null,
    payment_id          text        not null,
    connection_id       text        not null,
    -- The processor's name of it, which every notice about it has.
    processor_reference text        not null,
    status              text        not null check (status in ('inquiry', 'lost', 'opened', 'reversed', 'under_review', 'won')),
    -- How far it has come: what was told before is older than what is told after, in whatever order it comes.
    step                integer     not null check (step > 0),
    amount              bigint      not null check (amount > 0),
    currency            text        not null check (length(currency) = 3),
    -- What of it stands in the payment's `disputed`: nothing while nothing is taken, and nothing in another currency.
    counted             bigint      not null check (counted >= 0),
    reason              text,
    evidence_due_by     timestamptz,
    created_at          timestamptz not null,
    updated_at          timestamptz not null,
    foreign key (merchant_id, mode, payment_id) references payments.payment,
    foreign key (merchant_id, mode, connection_id) references payments.connection,
    constraint one_dispute unique (payment_id, processor_reference, merchant_id, mode)
);
alter table payments.dispute add primary key (merchant_id, mode, dispute_id);
alter table payments.dispute enable row level security, force row level security;
create policy tenant on payments.dispute using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

-- Whose payment it is, where a processor names its own payment and nothing of ours.
create index attempt_by_processor_reference on payments.attempt (connection_id, processor_reference)
    where operation in ('authorize', 'sale') and processor_reference is not null;

-- Promise 6: what was taken back by a dispute is not given back once more.
alter table payments.payment drop constraint money_is_not_made_refunding;
alter table payments.payment add constraint money_is_not_made_refunding
    check (refunding + refunded + disputed <= captured or discrepancy);

-- Another account of the ledger.
alter table payments.posting drop constraint posting_debit_check, drop constraint posting_credit_check;
alter table payments.posting
    add constraint posting_debit_check
        check (debit in ('authorizations', 'disputes', 'holds', 'receivable', 'refunds', 'sales')),
    add constraint posting_credit_check
        check (credit in ('authorizations', 'disputes', 'holds', 'receivable', 'refunds', 'sales'));

-- The functions that load and save payments learn of disputes where they stand, and whatever else they do by now stays.
do $$
declare
    each record;
    body text;
    changed text;
    saved text := 'on conflict (merchant_id, mode, dispute_id) do update'
        ' set status = excluded.status, step = excluded.step, amount = excluded.amount, counted = excluded.counted,'
        ' reason = excluded.reason, evidence_due_by = excluded.evidence_due_by, updated_at = excluded.updated_at;';
begin
    for each in select * from (values
        ('payments.load(text, text, text, text)', '''refunds'', coalesce((',
         '''disputes'', coalesce((select json_agg(row_to_json(d) order by d.dispute_id) from payments.dispute d'
         ' where d.payment_id = p.payment_id), ''[]''), '),
        ('payments.save(jsonb)', E'            for r in select * from jsonb_array_elements(c -> ''jobs'') loop\n',
         E'            insert into payments.dispute\n            select * from jsonb_populate_recordset(null::payments.dispute, coalesce(c -> ''disputes'', ''[]'')) '
         || saved || E'\n'),
        ('payments.save_together(jsonb)', E'        if rows ? ''jobs_gone'' then\n',
         E'        if rows ? ''disputes'' then\n            insert into payments.dispute\n            select * from jsonb_populate_recordset(null::payments.dispute, rows -> ''disputes'') '
         || saved || E'\n        end if;\n')
    ) as f (name, before, added) loop
        body := pg_get_functiondef(each.name::regprocedure);
        changed := replace(body, each.before, each.added || each.before);
        if length(changed) <> length(body) + length(each.added) then
            raise exception '% is not as it was', each.name;
        end if;
        execute changed;
    end loop;
end $$;
