-- New ids for a set of tokens: what an old id stands for, and until when it still does.
create table vault.token_alias (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    old_id      text        not null,
    token_id    text        not null,
    job_id      text        not null,
    -- From here on the old id is dead; it is never given to another token.
    until       timestamptz not null,
    made_at     timestamptz not null,
    primary key (merchant_id, mode, old_id),
    check (old_id <> token_id)
);
create index token_alias_of_new on vault.token_alias (merchant_id, mode, token_id);
create index token_alias_of_job on vault.token_alias (merchant_id, mode, job_id, old_id);

alter table vault.token_alias enable row level security, force row level security;
create policy tenant on vault.token_alias using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

-- Gives tokens other ids, with what was sealed anew for them. A token that was changed, moved or deleted since it was read
-- is left. Runs as its caller: row-level security holds.
create function vault.replace_tokens(
    of_merchant text,
    in_mode     text,
    job         text,
    alive_until timestamptz,
    at          timestamptz,
    olds        text[],
    news        text[],
    old_sealed  bytea[],
    new_sealed  bytea[],
    new_version integer,
    d_new       text[],                    -- a detail's token, by its new id
    d_field     text[],
    d_sealed    bytea[],
    d_version   integer[],
    d_expires   timestamptz[]
) returns table (old_id text, token_id text)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    moved text[];
begin
    -- The cards live on: this deletion is no erasure.
    perform set_config('strongroom.erasing', 'retokenize', true);
    with gone as (
        delete from vault.token t using unnest(olds, old_sealed) as u (id, sealed)
         where t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = u.id and t.sealed_number = u.sealed
        returning t.*),
    given as (
        insert into vault.token (merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4, exp_month,
                                 exp_year, fingerprint, fingerprint_version, single_use, expires_at, metadata, created_by,
                                 created_at, container, kind, pan_alias)
        select g.merchant_id, g.mode, u.new, u.sealed, new_version, g.brand, g.bin, g.last4, g.exp_month, g.exp_year,
               g.fingerprint, g.fingerprint_version, g.single_use, g.expires_at, g.metadata, g.created_by,
               g.created_at, g.container, g.kind, g.pan_alias
          from gone g
          join unnest(olds, news, new_sealed) as u (old, new, sealed) on u.old = g.token_id
        returning token_id)
    select array_agg(token_id) into moved from given;

    insert into vault.token_detail (merchant_id, mode, token_id, field, sealed, key_version, expires_at)
    select of_merchant, in_mode, u.token, u.field, u.sealed, u.version, u.expires
      from unnest(d_new, d_field, d_sealed, d_version, d_expires) as u (token, field, sealed, version, expires)
     where u.token = any (moved);

    update vault.card_identity i set token_id = u.new
      from unnest(olds, news) as u (old, new)
      join vault.token t on t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = u.new
     where u.new = any (moved) and t.fingerprint is not null
       and i.merchant_id = of_merchant and i.mode = in_mode and i.key_version = t.fingerprint_version
       and i.fingerprint = t.fingerprint and i.token_id = u.old;

    -- What was an alias of the old id is one of the new.
    update vault.token_alias a set token_id = u.new
      from unnest(olds, news) as u (old, new)
     where a.merchant_id = of_merchant and a.mode = in_mode and a.token_id = u.old and u.new = any (moved);

    return query
        insert into vault.token_alias (merchant_id, mode, old_id, token_id, job_id, until, made_at)
        select of_merchant, in_mode, u.old, u.new, job, alive_until, at
          from unnest(olds, news) as u (old, new)
         where u.new = any (moved)
        returning token_alias.old_id, token_alias.token_id;
end $$;
