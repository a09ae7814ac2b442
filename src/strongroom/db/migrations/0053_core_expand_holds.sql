-- Holds: until when an authorization holds, what happens at its end, when it is captured by itself, and by how much it was
-- raised. A process of the release before knows none of these columns and leaves them as they are.
alter table payments.payment
    -- The amount is an estimate: the processor is told so, and it may be raised.
    add column estimated      boolean     not null default false,
    add column capture_before timestamptz,
    add column on_expiry      text        check (on_expiry in ('cancel', 'leave')),
    add column capture_at     timestamptz,
    -- When the merchant was told that the hold ends soon.
    add column due_told_at    timestamptz,
    add column incrementing   bigint      not null default 0 check (incrementing >= 0),
    add column incremented    bigint      not null default 0 check (incremented >= 0);
alter table payments.payment drop constraint money_is_not_made_authorizing;
alter table payments.payment add constraint money_is_not_made_authorizing
    check (authorized <= amount + incremented or discrepancy);
-- What a capture takes and a void releases is decided from what is held, so neither is asked for while that may change.
alter table payments.payment add constraint increment_beside_others
    check (incrementing = 0 or (capturing = 0 and voiding = 0));
-- Of an increment: what is authorized with it, which some processors want to be told instead. A replay sends it again.
alter table payments.attempt add column raises_to bigint check (raises_to > 0);

-- One more word each in two lists, whatever else they hold by now.
do $$
declare
    each record;
    definition text;
    wider text;
begin
    for each in select * from (values ('payments.attempt', 'attempt_operation_check', 'increment'),
                                      ('jobs.job', 'job_kind_check', 'hold')) as c (relation, name, word) loop
        select pg_get_constraintdef(oid) into strict definition from pg_constraint
         where conrelid = each.relation::regclass and conname = each.name;
        wider := replace(definition, 'ARRAY[', format('ARRAY[%L::text, ', each.word));
        if wider = definition then
            raise exception '% is no list of words', each.name;
        end if;
        execute format('alter table %s drop constraint %I', each.relation, each.name);
        execute format('alter table %s add constraint %I %s', each.relation, each.name, wider);
    end loop;
end $$;

-- Promise 6, as before; and what raises a hold is asked for only while nothing of it was taken or released.
create or replace function payments.refuse_made_money() returns trigger language plpgsql set search_path = pg_catalog as $$
declare
    before_capturing    bigint := case when tg_op = 'UPDATE' then old.capturing else 0 end;
    before_voiding      bigint := case when tg_op = 'UPDATE' then old.voiding else 0 end;
    before_refunding    bigint := case when tg_op = 'UPDATE' then old.refunding else 0 end;
    before_incrementing bigint := case when tg_op = 'UPDATE' then old.incrementing else 0 end;
begin
    -- The release before makes payments without them.
    new.estimated := coalesce(new.estimated, false);
    new.incrementing := coalesce(new.incrementing, 0);
    new.incremented := coalesce(new.incremented, 0);
    if (new.capturing > before_capturing or new.voiding > before_voiding)
       and new.capturing + new.captured + new.voiding + new.voided > new.authorized then
        raise exception using errcode = 'check_violation', constraint = 'reservation_beyond_authorized',
                              message = 'a reservation is at most what is left of the authorization';
    end if;
    if new.refunding > before_refunding and new.refunding + new.refunded + new.disputed > new.captured then
        raise exception using errcode = 'check_violation', constraint = 'reservation_beyond_captured',
                              message = 'a reservation is at most what is left of what was captured';
    end if;
    if new.incrementing > before_incrementing
       and (before_incrementing > 0 or new.captured > 0 or new.voided > 0 or new.authorized = 0) then
        raise exception using errcode = 'check_violation', constraint = 'increment_beside_others',
                              message = 'a hold is raised once at a time, while nothing of it was taken or released';
    end if;
    return new;
end $$;

-- Both functions that save payments learn the columns where they stand, so that whatever else they do by now stays.
do $$
declare
    each record;
    body text;
    named text;
    given text;
begin
    for each in select * from (values ('payments.save(jsonb)'), ('payments.save_together(jsonb)')) as f (name) loop
        body := pg_get_functiondef(each.name::regprocedure);
        named := regexp_replace(body, '(update payments\.payment o\s+set \()',
                                '\1capture_before, on_expiry, capture_at, due_told_at, incrementing, incremented, ');
        given := regexp_replace(named, '(updated_at[^()]*\)\s+= \()',
                                '\1case when p.incrementing is null then o.capture_before else p.capture_before end,
                        coalesce(p.on_expiry, o.on_expiry),
                        case when p.incrementing is null then o.capture_at else p.capture_at end,
                        case when p.incrementing is null then o.due_told_at else p.due_told_at end,
                        coalesce(p.incrementing, o.incrementing), coalesce(p.incremented, o.incremented), ');
        if named = body or given = named then
            raise exception '% does not save payments as it did', each.name;
        end if;
        execute given;
    end loop;
end $$;
