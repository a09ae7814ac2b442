-- The ledger: every amount that an attempt moved, from one account to another. Rows are added in the transaction that
-- saves the attempt, and nobody may change or remove one.
create table payments.posting (
    merchant_id   text        not null,
    mode          text        not null check (mode in ('live', 'test')),
    payment_id    text        not null,
    -- The attempt, the payment's version and the move, so that a fact is posted once; or the opening of the books.
    cause         text        not null,
    debit         text        not null check (debit in ('authorizations', 'holds', 'receivable', 'refunds', 'sales')),
    credit        text        not null check (credit in ('authorizations', 'holds', 'receivable', 'refunds', 'sales')),
    amount        bigint      not null check (amount > 0),
    currency      text        not null check (length(currency) = 3),
    connection_id text        not null,
    made_at       timestamptz not null,
    check (debit <> credit),
    foreign key (merchant_id, mode, payment_id) references payments.payment
);
create index posting_by_moment on payments.posting (merchant_id, mode, made_at, payment_id, cause);
alter table payments.posting add primary key (merchant_id, mode, payment_id, cause);
alter table payments.posting enable row level security, force row level security;
create policy tenant on payments.posting using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

-- The check over every tenant's books reads both tables and changes none.
create policy books on payments.posting for select using (current_setting('strongroom.job', true) = 'books');
create policy books on payments.payment for select using (current_setting('strongroom.job', true) = 'books');

-- What payments hold that were there before the ledger was: its opening.
alter table payments.payment no force row level security;
alter table payments.posting no force row level security;
insert into payments.posting
select p.merchant_id, p.mode, p.payment_id, 'opening:' || o.word, o.debit, o.credit, o.amount, p.currency, p.connection_id,
       p.updated_at
  from payments.payment p
 cross join lateral (values ('authorize', 'holds', 'authorizations', p.authorized),
                            ('release', 'authorizations', 'holds', p.captured + p.voided),
                            ('capture', 'receivable', 'sales', p.captured),
                            ('refund', 'refunds', 'receivable', p.refunded)) as o (word, debit, credit, amount)
 where o.amount > 0 and p.connection_id is not null;
alter table payments.posting force row level security;
alter table payments.payment force row level security;

-- Both functions that save attempts save postings too, and whatever else they do by now stays. A process of the release
-- before says nothing of postings.
do $$
declare
    each record;
    body text;
    changed text;
begin
    for each in select * from (values
        ('payments.save(jsonb)', E'            for r in select * from jsonb_array_elements(c -> ''jobs'') loop\n',
         E'            insert into payments.posting\n            select * from jsonb_populate_recordset(null::payments.posting, coalesce(c -> ''postings'', ''[]''));\n'),
        ('payments.save_together(jsonb)', E'        if rows ? ''jobs_gone'' then\n',
         E'        insert into payments.posting\n        select * from jsonb_populate_recordset(null::payments.posting, coalesce(rows -> ''postings'', ''[]''));\n')
    ) as f (name, before, added) loop
        body := pg_get_functiondef(each.name::regprocedure);
        changed := replace(body, each.before, each.added || each.before);
        if length(changed) <> length(body) + length(each.added) then
            raise exception '% does not save attempts as it did', each.name;
        end if;
        execute changed;
    end loop;
end $$;
