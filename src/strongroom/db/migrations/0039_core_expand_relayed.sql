-- What the vault tells merchants is made an event here once, however often it is brought: a row remembers each for good.
create table webhooks.relayed (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    outbox_id   text        not null,
    event_id    text        not null,
    relayed_at  timestamptz not null,
    primary key (outbox_id, merchant_id, mode)
);
alter table webhooks.relayed enable row level security, force row level security;
create policy tenant on webhooks.relayed using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

-- As `webhooks.publish`, unless it was done before: then nothing is written, and false is returned. Two at once: the
-- second waits for the first one's commit.
create function webhooks.publish_once(m text, md text, outbox text, event text, event_type text, object text, body text,
                                      made timestamptz)
returns boolean language plpgsql set search_path = pg_catalog as $$
begin
    insert into webhooks.relayed (merchant_id, mode, outbox_id, event_id, relayed_at)
    values (m, md, outbox, event, made)
        on conflict do nothing;
    if not found then
        return false;
    end if;
    perform webhooks.publish(m, md, event, event_type, object, body, made);
    return true;
end $$;
