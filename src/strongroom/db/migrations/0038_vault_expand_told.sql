-- Old ids that still stand for tokens are good for reveals and forwards too; and what a merchant is told of the vault's
-- long jobs waits here, from the commit that ends the job until it is an event in the core database.

-- What an id of before a retokenization stands for, as long as it does. The one place that says so.
create function vault.present_id(of_merchant text, in_mode text, old text, at timestamptz) returns text
language sql stable as $$
    select a.token_id from vault.token_alias a
     where a.merchant_id = of_merchant and a.mode = in_mode and a.old_id = old and a.until > at
$$;

-- What is known before a forward is begun: whether its key was used, and what may be shown of its tokens, by whichever
-- of its ids each is asked for. A row an id; without a `token_id`, no token is there. `first_id` is the oldest id of the
-- same token, dead ones included: by it a repeat is known, whichever id it is written with.
create function vault.look_to_forward(
    of_merchant text, in_mode text, of_key text, names text[], at timestamptz
) returns table (
    kind text, asked text, first_id text, token_id text, brand text, bin text, last4 text, exp_month integer,
    exp_year integer, container text, claim text, fingerprint bytea, destination_id text, cvc_state text,
    lease_until timestamptz, outcome text, status integer, reason text, duration_ms integer
)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    perform set_config('strongroom.merchants', of_merchant, true);
    return query
        select 'forward'::text, null::text, null::text, null::text, null::text, null::text, null::text, null::integer,
               null::integer, null::text, f.claim, f.fingerprint, f.destination_id, f.cvc_state, f.lease_until,
               f.outcome, f.status, f.reason, f.duration_ms
          from vault.forward f
         where f.merchant_id = of_merchant and f.mode = in_mode and f.key = of_key;
    -- One statement, one view of the database: a token that gets another id meanwhile is found under one of them.
    return query
        select 'token'::text, w.name, coalesce(o.first_id, w.name), t.token_id, t.brand, t.bin, t.last4,
               t.exp_month::integer, t.exp_year::integer, t.container, null::text, null::bytea, null::text, null::text,
               null::timestamptz, null::text, null::integer, null::text, null::integer
          from unnest(names) as w (name)
         cross join lateral (
               select min(b.old_id) as first_id from vault.token_alias b
                where b.merchant_id = of_merchant and b.mode = in_mode
                  and b.token_id = coalesce((select a.token_id from vault.token_alias a
                                              where a.merchant_id = of_merchant and a.mode = in_mode
                                                and a.old_id = w.name), w.name)) o
          left join lateral (
               select x.* from vault.token x
                where x.merchant_id = of_merchant and x.mode = in_mode
                  and x.token_id = coalesce(vault.present_id(of_merchant, in_mode, w.name, at), w.name)
                  and (x.expires_at is null or x.expires_at > at)) t on true;
end $$;

-- What merchants are to be told. The worker's role takes it over the internal port, makes an event of it once, and then
-- it is deleted here: what is left is what nobody has taken yet. No card data: the object as its own route shows it.
create table vault.outbox (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    outbox_id   text        not null,
    type        text        not null,
    object_id   text        not null,
    data        text        not null check (length(data) <= 16384),
    happened_at timestamptz not null,
    primary key (outbox_id, merchant_id, mode)
);
alter table vault.outbox enable row level security, force row level security;
create policy tenant on vault.outbox using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
-- Whoever brings it over sees every tenant's, and deletes what was brought; it writes none.
create policy relay on vault.outbox for select using (current_setting('strongroom.job', true) = 'outbox');
create policy relayed on vault.outbox for delete using (current_setting('strongroom.job', true) = 'outbox');
