-- What a customer's browser says of itself, kept with the attempt that told it to a processor: a replay tells the same. It
-- never changes once it is saved, so the functions that save need not learn of it, and an older release leaves it as it is.
alter table payments.attempt add column browser jsonb;

-- Its form is asked by the trigger that asks for the others' (ADR-0023), and whatever else that asks for by now stays.
do $$
declare
    body text := pg_get_functiondef('payments.refuse_unfit_attempt()'::regprocedure);
    changed text;
    asks text;
begin
    changed := replace(body, E'broken := case\n', $case$broken := case
        when not (new.browser is null
                  or coalesce(length(new.browser ->> 'user_agent'), 0) between 1 and 2048
                     and coalesce(length(new.browser ->> 'accept_header'), 0) between 1 and 2048
                     and length(new.browser::text) <= 10000) then 'attempt_browser_check'
$case$);
    select pg_get_triggerdef(oid) into strict asks from pg_trigger
     where tgrelid = 'payments.attempt'::regclass and tgname = 'form';
    if changed = body or position(' ON payments.attempt' in asks) = 0 then
        raise exception 'the form of attempts is not asked as it was';
    end if;
    execute changed;
    drop trigger form on payments.attempt;
    execute replace(asks, ' ON payments.attempt', ', browser ON payments.attempt');
end $$;
