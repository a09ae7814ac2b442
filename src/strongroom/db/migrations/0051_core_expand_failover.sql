-- A wish may be tried at several processors, one after another (ADR 16): `step` counts its attempts, and `route` says why
-- each went where it went. A next step is made only over a former one that is final, and `one_authorization` refuses a
-- second one that lives or may live, whatever wish it is of.
alter table payments.attempt
    add column step smallint not null default 1 check (step between 1 and 9),
    add column route jsonb;
alter table payments.attempt add constraint attempt_failover_is_of_an_authorization
    check (step = 1 or operation in ('authorize', 'sale', 'verify'));
alter table payments.attempt drop constraint attempt_merchant_id_mode_payment_id_wish_key;
alter table payments.attempt add constraint attempt_merchant_id_mode_payment_id_wish_key
    unique (payment_id, wish, step, merchant_id, mode);

-- Both functions that save attempts learn the columns where they stand, so that whatever else they do by now stays. A
-- process of the release before says nothing of steps: its attempts are the first of their wishes.
do $$
declare
    each record;
    body text;
    changed text;
begin
    for each in select * from (values
        ('payments.save(jsonb)', 'o', 'jsonb_populate_record(null::payments.attempt, r)',
         'jsonb_populate_record(null::payments.attempt, ''{"step": 1}''::jsonb || r)'),
        ('payments.save_together(jsonb)', 'attempt', 'jsonb_populate_recordset(null::payments.attempt, ',
         'jsonb_populate_recordset(jsonb_populate_record(null::payments.attempt, ''{"step": 1}''), ')
    ) as f (name, alias, before, after) loop
        body := pg_get_functiondef(each.name::regprocedure);
        changed := replace(body, each.before, each.after);
        if length(changed) <> length(body) + length(each.after) - length(each.before) then
            raise exception '% does not save attempts as it did', each.name;
        end if;
        body := changed;
        changed := replace(body, format('instrument = coalesce(%I.instrument, excluded.instrument)', each.alias),
                           format('instrument = coalesce(%1$I.instrument, excluded.instrument), '
                                  'route = coalesce(excluded.route, %1$I.route)', each.alias));
        if changed = body then
            raise exception '% does not save attempts as it did', each.name;
        end if;
        execute changed;
    end loop;
end $$;
