-- Attempts whose outcome nobody could find out are left to people: when somebody looked last, and what two people said of
-- one. A process of the release before knows none of it and leaves it as it is.
alter table payments.attempt
    add column looked_at   timestamptz,
    add column evidence    text check (length(evidence) between 1 and 1000),
    add column resolved_by text;

do $$
declare
    definition text;
    wider text;
begin
    select pg_get_constraintdef(oid) into strict definition from pg_constraint
     where conrelid = 'payments.attempt'::regclass and conname = 'attempt_basis_check';
    wider := replace(definition, 'ARRAY[', 'ARRAY[''person''::text, ');
    if wider = definition then
        raise exception 'the check attempt_basis_check is not as it was';
    end if;
    alter table payments.attempt drop constraint attempt_basis_check;
    execute 'alter table payments.attempt add constraint attempt_basis_check ' || wider;
end $$;

-- Both functions that save attempts learn the columns where they stand; what people said once is not said again.
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
            format('\1, evidence = coalesce(%1$I.evidence, excluded.evidence),
                       resolved_by = coalesce(%1$I.resolved_by, excluded.resolved_by)', each.alias));
        if changed = body then
            raise exception '% does not save attempts as it did', each.name;
        end if;
        execute changed;
    end loop;
end $$;
