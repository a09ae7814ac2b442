-- What payments say of stored cards, what schemes and issuers said of them, and payments of amount 0 that only ask
-- whether a card is good.
alter table payments.payment add column stored_credential jsonb;
alter table payments.attempt
    add column initial_transaction_id text check (length(initial_transaction_id) between 1 and 64),
    add column scheme_transaction_id text check (length(scheme_transaction_id) between 1 and 64),
    add column avs_result text check (avs_result in ('match', 'mismatch', 'partial', 'unavailable', 'unchecked')),
    add column cvc_result text check (cvc_result in ('match', 'mismatch', 'partial', 'unavailable', 'unchecked'));

-- Each check is taken as it stands, so that whatever it allows by now it still does.
do $$
declare
    each record;
    def text;
    changed text;
begin
    for each in select * from (values
        ('payments.payment', 'payment_amount_check', '>= 1', '>= 0'),
        ('payments.attempt', 'attempt_operation_check', '''void''::text', '''verify''::text, ''void''::text')
    ) as c (tab, name, before, after) loop
        select pg_get_constraintdef(oid) into strict def from pg_constraint
         where conrelid = each.tab::regclass and conname = each.name;
        changed := replace(def, each.before, each.after);
        if changed = def then
            raise exception 'the check % is not as it was', each.name;
        end if;
        execute format('alter table %s drop constraint %I, add constraint %I %s',
                       each.tab, each.name, each.name, changed);
    end loop;
end $$;
alter table payments.attempt drop constraint attempt_amount_check,
    add constraint attempt_amount_check check (amount > 0 or amount = 0 and operation = 'verify');
-- What only asks captures nothing.
alter table payments.payment add constraint nothing_to_capture check (amount > 0 or capture_method = 'automatic');

-- Promise 4, of what only asks: one at a time, and none after one that was answered yes.
create unique index one_verification on payments.attempt (merchant_id, mode, payment_id)
    where operation = 'verify' and (outcome is null or outcome in ('approved', 'pending', 'unknown'));

-- The functions that load and save learn of it where they stand, so that whatever else they do by now stays.
do $$
declare
    each record;
    body text;
    changed text;
begin
    for each in select * from (values ('payments.save(jsonb)', 'o'),
                                      ('payments.save_together(jsonb)', 'attempt')) as f (name, alias) loop
        body := pg_get_functiondef(each.name::regprocedure);
        changed := regexp_replace(body, '(settled_at = excluded\.settled_at)',
            format('\1,
                       scheme_transaction_id = coalesce(excluded.scheme_transaction_id, %1$I.scheme_transaction_id),
                       avs_result = coalesce(excluded.avs_result, %1$I.avs_result),
                       cvc_result = coalesce(excluded.cvc_result, %1$I.cvc_result)', each.alias));
        if changed = body then
            raise exception '% does not save attempts as it did', each.name;
        end if;
        execute changed;
    end loop;
    body := pg_get_functiondef('payments.load(text, text, text, text)'::regprocedure);
    changed := replace(body, '''sale''', '''sale'', ''verify''');
    if changed = body then
        raise exception 'payments.load does not load attempts as it did';
    end if;
    execute changed;
end $$;
