-- The processor's name of what was prepared for an attempt before money was asked for. Once saved it stays: a replay
-- sends what was sent.
alter table payments.attempt add column instrument text check (length(instrument) between 1 and 255);

-- Both functions that save attempts learn the column where they stand, so that whatever else they do by now stays. An
-- older release knows nothing of it and leaves it as it is.
do $$
declare
    each record;
    body text;
    changed text;
begin
    for each in select * from (values ('payments.save(jsonb)', 'o'),
                                      ('payments.save_together(jsonb)', 'attempt')) as f (name, alias) loop
        body := pg_get_functiondef(each.name::regprocedure);
        changed := regexp_replace(body, '(settled_at = excluded\.settled_at);',
                                  format('\1, instrument = coalesce(%I.instrument, excluded.instrument);',
                                         each.alias));
        if changed = body then
            raise exception '% does not save attempts as it did', each.name;
        end if;
        execute changed;
    end loop;
end $$;
