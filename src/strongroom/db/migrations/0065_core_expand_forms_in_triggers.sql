-- What a column may hold, asked by a trigger where it was asked by checks (ADR-0023).
--
-- PostgreSQL reads the text of every check of a table anew for each statement that writes a row there: of
-- payments.payment that took two thirds of an update. A trigger's expressions are read once a connection. The checks
-- that are taken over are those of a column's form, which PostgreSQL named (`…_check`): of the tables that each payment
-- writes, as they are by now. Those that have a name of their own say what may not happen to money, and stay.
do $$
declare
    t       record;
    c       record;
    a       record;
    cases   text;
    form    text;
    columns text;
begin
    for t in select x.name::regclass as oid, x.name, replace(x.name, '.', '.refuse_unfit_') as refuses
               from unnest(array['payments.payment', 'payments.attempt', 'payments.posting', 'jobs.job',
                                 'webhooks.notice', 'webhooks.delivery']) as x (name)
    loop
        cases := '';
        for c in select k.conname, pg_get_expr(k.conbin, k.conrelid) as form from pg_constraint k
                  where k.conrelid = t.oid and k.contype = 'c' and k.conname like '%\_check' order by k.conname
        loop
            form := c.form;
            for a in select quote_ident(attname) as name from pg_attribute
                      where attrelid = t.oid and attnum > 0 and not attisdropped
            loop
                form := regexp_replace(form, format('(?<![\w.''"])%s(?![\w''"(])', a.name), 'new.' || a.name, 'g');
            end loop;
            cases := cases || format(E'        when not %s then %L\n', form, c.conname);
            execute format('alter table %s drop constraint %I', t.oid, c.conname);
        end loop;
        select string_agg(quote_ident(attname), ', ' order by attnum) into columns from pg_attribute
         where attrelid = t.oid and attnum > 0 and not attisdropped
           and cases ~ format('new\.%s\M', quote_ident(attname));
        execute format($function$
create function %1$s() returns trigger language plpgsql set search_path = pg_catalog as $body$
declare
    broken text;
begin
    broken := case
%2$s    end;
    if broken is not null then
        raise exception using errcode = 'check_violation', constraint = broken, schema = tg_table_schema,
                              table = tg_table_name, message = format('the row does not hold %%I', broken);
    end if;
    return new;
end $body$ $function$, t.refuses, cases);
        execute format('create trigger form before insert or update of %s on %s for each row execute function %s()',
                       columns, t.oid, t.refuses);
    end loop;
end $$;

-- As before: the event's time and 16 random characters, now those of a random UUID behind its version: 62 random bits.
-- Made within the statement that asks: the plan of a function that counts characters cost more than the row.
create or replace function webhooks.new_delivery_id(event text) returns text language sql volatile as $$
    select pg_catalog.concat('dlv_', pg_catalog.substr(event, 5, 10), pg_catalog.upper(pg_catalog.substr(
               pg_catalog.encode(pg_catalog.uuid_send(pg_catalog.gen_random_uuid()), 'hex'), 17)))
$$;
