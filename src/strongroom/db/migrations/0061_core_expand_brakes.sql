-- Brakes: what a merchant lets through of its own payments, counted here so that it is counted once by all processes.

-- What a merchant has set, version by version; the newest counts.
create table payments.brake_setting (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    version     integer     not null check (version >= 1),
    config      jsonb       not null,
    set_by      text        not null,
    set_at      timestamptz not null,
    primary key (merchant_id, mode, version)
);

-- Who is blocked or allowed. An e-mail address stands here as a keyed hash; an `enforced` block is a person's, and no
-- allowance of the merchant's overrides it.
create table payments.brake_entry (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    entry_id    text        not null,
    list        text        not null check (list in ('allow', 'block')),
    kind        text        not null check (kind in ('address', 'bin', 'card', 'customer', 'email', 'token')),
    value       text        not null check (length(value) between 1 and 128),
    enforced    boolean     not null check (not enforced or list = 'block'),
    reason      text        not null check (length(reason) between 1 and 200),
    made_by     text        not null,
    made_at     timestamptz not null,
    expires_at  timestamptz,
    primary key (merchant_id, mode, entry_id)
);

-- How often, of one subject in one window. A window is counted in twenty parts of its length, the newest first, and the
-- part that is ending is counted whole. Kept for one window beyond the last that was counted.
create table payments.brake_count (
    merchant_id    text        not null,
    mode           text        not null check (mode in ('live', 'test')),
    subject        text        not null check (subject in ('address', 'bin', 'card', 'key')),
    value          text        not null,
    window_seconds integer     not null check (window_seconds between 20 and 604800),
    part           bigint      not null,
    tries          integer[]   not null,
    declines       integer[]   not null,
    cards          integer[]   not null,
    small          integer[]   not null,
    expires_at     timestamptz not null,
    primary key (merchant_id, mode, subject, value, window_seconds)
) with (fillfactor = 50);

-- Which cards a subject has shown, so that each is counted as new once a window.
create table payments.brake_seen (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    subject     text        not null check (subject in ('address', 'bin', 'card', 'key')),
    value       text        not null,
    card        text        not null,
    seen_at     timestamptz not null,
    expires_at  timestamptz not null,
    primary key (merchant_id, mode, subject, value, card)
) with (fillfactor = 70);

-- What was let through last of a payment, under which subjects, so that its decline counts for them, however late it is
-- told.
create table payments.brake_pass (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    payment_id  text        not null,
    counters    jsonb       not null,
    declined    boolean     not null default false,
    expires_at  timestamptz not null,
    primary key (merchant_id, mode, payment_id)
) with (fillfactor = 80);

-- Somebody tries cards: while it lasts, one payment of the subject passes now and then.
create table payments.brake_incident (
    merchant_id  text        not null,
    mode         text        not null check (mode in ('live', 'test')),
    incident_id  text        not null,
    subject      text        not null check (subject in ('address', 'bin', 'key')),
    value        text        not null,
    signs        text        not null,
    tries        integer     not null,
    declines     integer     not null,
    cards        integer     not null,
    held         integer     not null default 0,
    passed       integer     not null default 0,
    started_at   timestamptz not null,
    last_sign_at timestamptz not null,
    -- Ends then, unless there is another sign.
    until        timestamptz not null,
    next_pass_at timestamptz not null,
    ended_at     timestamptz,
    ended_by     text,
    primary key (merchant_id, mode, incident_id)
);
create unique index one_incident on payments.brake_incident (merchant_id, mode, subject, value) where ended_at is null;
create index brake_incident_ending on payments.brake_incident (until) where ended_at is null;
create index brake_count_expiring on payments.brake_count (expires_at);
create index brake_seen_expiring on payments.brake_seen (expires_at);
create index brake_pass_expiring on payments.brake_pass (expires_at);

do $$
declare
    each_table text;
begin
    foreach each_table in array array['brake_setting', 'brake_entry', 'brake_count', 'brake_seen', 'brake_pass',
                                      'brake_incident'] loop
        execute format('alter table payments.%I enable row level security, force row level security', each_table);
        execute format($policy$
            create policy tenant on payments.%I using (
                merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
            )$policy$, each_table);
    end loop;
    -- The worker's round over every tenant removes what has expired.
    foreach each_table in array array['brake_count', 'brake_seen', 'brake_pass'] loop
        execute format('create policy sweep_seen on payments.%I for select using (current_setting(''strongroom.job'', true) = ''brakes'')',
                       each_table);
        execute format('create policy sweep on payments.%I for delete using (current_setting(''strongroom.job'', true) = ''brakes'')',
                       each_table);
    end loop;
end $$;
-- … and sees which incidents are over; it ends each in a transaction of its tenant's.
create policy sweep_seen on payments.brake_incident for select using (current_setting('strongroom.job', true) = 'brakes');

-- Moves a row of parts on: what is older than the window falls out.
create function payments.brake_moved(parts integer[], by_parts bigint) returns integer[]
language sql immutable parallel safe set search_path = pg_catalog as $$
    select case when by_parts <= 0 then parts
                when by_parts > 20 then array_fill(0, array[21])
                else array_fill(0, array[by_parts::integer]) || parts[1:21 - by_parts::integer] end
$$;
create function payments.brake_sum(parts integer[]) returns integer
language sql immutable parallel safe set search_path = pg_catalog as $$
    select sum(x)::integer from unnest(parts) x
$$;

-- Asks for each payment whether its limits let it through, and counts those that pass: whole or not at all. All payments
-- of a tenant take turns here, so that of many at once exactly as many pass as may. What it returns are the counts from
-- before. The commit is not waited for on disk: a database that crashes forgets the counts of its last moments, never
-- a payment.
create function payments.brake_ask(asked jsonb) returns table (n integer, answer jsonb)
language plpgsql volatile
set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    a jsonb;
    c jsonb;
    k payments.brake_count;
    counted payments.brake_count[];
    found_incident payments.brake_incident;
    moment timestamptz;
    now_part bigint;
    passes boolean;
    is_new boolean;
    seen timestamptz;
    said jsonb;
    incidents jsonb;
    at integer := -1;
    m text;
    md text;
begin
    perform set_config('strongroom.merchants', (select string_agg(distinct x ->> 'm', ',') from jsonb_array_elements(asked) x), true),
            set_config('synchronous_commit', 'off', true);
    perform pg_advisory_xact_lock(x.h)
       from (select distinct hashtextextended(concat_ws(' ', 'brakes', e ->> 'm', e ->> 'mode'), 0) as h
               from jsonb_array_elements(asked) e order by 1) x;
    for a in select * from jsonb_array_elements(asked) loop
        at := at + 1;
        m := a ->> 'm';
        md := a ->> 'mode';
        moment := (a ->> 'now')::timestamptz;
        passes := true;
        said := '[]';
        incidents := '[]';
        counted := '{}';
        for c in select * from jsonb_array_elements(a -> 'incidents') loop
            select i.* into found_incident from payments.brake_incident i
             where i.merchant_id = m and i.mode = md and i.subject = c ->> 'subject' and i.value = c ->> 'value'
               and i.ended_at is null and i.until > moment;
            if found then
                passes := passes and found_incident.next_pass_at <= moment;
                incidents := incidents || jsonb_build_object('id', found_incident.incident_id,
                    'subject', found_incident.subject, 'until', found_incident.until,
                    'next_pass_at', found_incident.next_pass_at);
            end if;
        end loop;
        for c in select * from jsonb_array_elements(a -> 'counters') loop
            now_part := floor(extract(epoch from moment) * 20 / (c ->> 'window')::integer);
            select q.* into k from payments.brake_count q
             where q.merchant_id = m and q.mode = md and q.subject = c ->> 'subject' and q.value = c ->> 'value'
               and q.window_seconds = (c ->> 'window')::integer;
            if not found then
                k := row(m, md, c ->> 'subject', c ->> 'value', (c ->> 'window')::integer, now_part,
                         array_fill(0, array[21]), array_fill(0, array[21]), array_fill(0, array[21]),
                         array_fill(0, array[21]), moment);
            elsif now_part > k.part then
                k.tries := payments.brake_moved(k.tries, now_part - k.part);
                k.declines := payments.brake_moved(k.declines, now_part - k.part);
                k.cards := payments.brake_moved(k.cards, now_part - k.part);
                k.small := payments.brake_moved(k.small, now_part - k.part);
                k.part := now_part;
            end if;
            is_new := false;
            if (c ->> 'watches_cards')::boolean then
                select s.seen_at into seen from payments.brake_seen s
                 where s.merchant_id = m and s.mode = md and s.subject = k.subject and s.value = k.value
                   and s.card = a ->> 'card';
                is_new := not found or seen <= moment - k.window_seconds * interval '1 second';
            end if;
            passes := passes
                and coalesce(payments.brake_sum(k.tries) < (c ->> 'tries_max')::integer, true)
                and coalesce(payments.brake_sum(k.declines) < (c ->> 'declines_max')::integer, true)
                and coalesce(payments.brake_sum(k.cards) + is_new::integer <= (c ->> 'cards_max')::integer, true);
            said := said || jsonb_build_object(
                'tries', payments.brake_sum(k.tries), 'declines', payments.brake_sum(k.declines),
                'cards', payments.brake_sum(k.cards), 'small', payments.brake_sum(k.small), 'new_card', is_new,
                'recent_tries', payments.brake_sum(k.tries[1:6]), 'recent_declines', payments.brake_sum(k.declines[1:6]));
            k.tries[1] := k.tries[1] + 1;
            k.cards[1] := k.cards[1] + is_new::integer;
            k.small[1] := k.small[1] + (a ->> 'small')::boolean::integer;
            k.expires_at := greatest(k.expires_at, moment + 2 * k.window_seconds * interval '1 second');
            counted := counted || k;
        end loop;
        if passes then
            foreach k in array counted loop
                insert into payments.brake_count as o values (k.*)
                    on conflict (merchant_id, mode, subject, value, window_seconds) do update
                   set part = excluded.part, tries = excluded.tries, declines = excluded.declines, cards = excluded.cards,
                       small = excluded.small, expires_at = excluded.expires_at;
            end loop;
            for c in select * from jsonb_array_elements(a -> 'counters') loop
                if (c ->> 'watches_cards')::boolean then
                    insert into payments.brake_seen as o
                    values (m, md, c ->> 'subject', c ->> 'value', a ->> 'card', moment,
                            moment + (c ->> 'window')::integer * interval '1 second')
                        on conflict (merchant_id, mode, subject, value, card) do update
                       set seen_at = greatest(o.seen_at, excluded.seen_at),
                           expires_at = greatest(o.expires_at, excluded.expires_at);
                end if;
            end loop;
            if (a ->> 'keeps_seconds') is not null then
                insert into payments.brake_pass (merchant_id, mode, payment_id, counters, expires_at)
                select m, md, a ->> 'payment',
                       (select jsonb_agg(jsonb_build_object('subject', x -> 'subject', 'value', x -> 'value', 'window', x -> 'window'))
                          from jsonb_array_elements(a -> 'counters') x),
                       moment + (a ->> 'keeps_seconds')::integer * interval '1 second'
                    on conflict (merchant_id, mode, payment_id) do update
                   set counters = excluded.counters, declined = false, expires_at = excluded.expires_at;
            end if;
        end if;
        update payments.brake_incident i
           set held = i.held + (not passes)::integer, passed = i.passed + passes::integer,
               next_pass_at = case when passes then moment + (a ->> 'pause_seconds')::integer * interval '1 second'
                                   else i.next_pass_at end
          from jsonb_array_elements(incidents) x
         where i.merchant_id = m and i.mode = md and i.incident_id = x ->> 'id';
        n := at;
        answer := jsonb_build_object('passes', passes, 'incidents', incidents, 'counts', said);
        return next;
    end loop;
end $$;

-- Counts a decline for what its payment was let through under, once; says how much was counted by then. Nothing where
-- it is not known (any more).
create function payments.brake_declined(m text, md text, payment text, moment timestamptz) returns jsonb
language plpgsql volatile
set search_path = pg_catalog set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
declare
    c jsonb;
    counters jsonb;
    k payments.brake_count;
    now_part bigint;
    said jsonb := '[]';
begin
    perform set_config('strongroom.merchants', m, true), set_config('synchronous_commit', 'off', true);
    perform pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'brakes', m, md), 0));
    update payments.brake_pass p set declined = true
     where p.merchant_id = m and p.mode = md and p.payment_id = payment and not p.declined
    returning p.counters into counters;
    if not found or counters is null then
        return said;
    end if;
    for c in select * from jsonb_array_elements(counters) loop
        select q.* into k from payments.brake_count q
         where q.merchant_id = m and q.mode = md and q.subject = c ->> 'subject' and q.value = c ->> 'value'
           and q.window_seconds = (c ->> 'window')::integer;
        continue when not found;
        now_part := floor(extract(epoch from moment) * 20 / k.window_seconds);
        if now_part > k.part then
            k.tries := payments.brake_moved(k.tries, now_part - k.part);
            k.declines := payments.brake_moved(k.declines, now_part - k.part);
            k.cards := payments.brake_moved(k.cards, now_part - k.part);
            k.small := payments.brake_moved(k.small, now_part - k.part);
            k.part := now_part;
        end if;
        k.declines[1] := k.declines[1] + 1;
        update payments.brake_count q
           set part = k.part, tries = k.tries, declines = k.declines, cards = k.cards, small = k.small,
               expires_at = greatest(q.expires_at, moment + 2 * k.window_seconds * interval '1 second')
         where q.merchant_id = m and q.mode = md and q.subject = k.subject and q.value = k.value
           and q.window_seconds = k.window_seconds;
        said := said || jsonb_build_object('subject', k.subject, 'value', k.value, 'window', k.window_seconds,
            'tries', payments.brake_sum(k.tries), 'declines', payments.brake_sum(k.declines),
            'cards', payments.brake_sum(k.cards), 'small', payments.brake_sum(k.small), 'new_card', false,
            'recent_tries', payments.brake_sum(k.tries[1:6]), 'recent_declines', payments.brake_sum(k.declines[1:6]));
    end loop;
    return said;
end $$;

-- What an attempt was asked with; neither changes once it is saved, and an older release leaves both as they are. No check
-- is put on them: each would be read by every statement that writes an attempt (ADR-0023).
alter table payments.attempt
    -- automatic or challenge
    add column three_ds text,
    -- What is to become of an approval whose checks say no: words as `avs_void cvc_mark`.
    add column checks_policy text;

-- A job of its own releases an approval whose checks failed. Whatever kinds there are by now stay.
do $$
declare
    found text;
begin
    select pg_get_constraintdef(c.oid) into found from pg_constraint c
     where c.conrelid = 'jobs.job'::regclass and c.conname = 'job_kind_check';
    if found is null or position('ARRAY[' in found) = 0 then
        raise exception 'jobs.job does not name its kinds as it did';
    end if;
    alter table jobs.job drop constraint job_kind_check;
    execute 'alter table jobs.job add constraint job_kind_check ' || replace(found, 'ARRAY[', 'ARRAY[''release''::text, ');
end $$;
