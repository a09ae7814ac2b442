-- The sealed address of a card whose use is being recorded, in the same statement (`use_card`, migration 0025): given out
-- only where a processor's request has a place for it, and after the record stands.
create function vault.address_of_use(
    of_merchant text,
    in_mode     text,
    token       text,
    wanted      boolean                   -- whether there is a place for it, and the use is recorded
) returns table (sealed bytea, key_version integer)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
begin
    if wanted then
        perform set_config('strongroom.merchants', of_merchant, true);
        return query
            select d.sealed, d.key_version
              from vault.token_detail d
             where d.merchant_id = of_merchant and d.mode = in_mode and d.token_id = token
               and d.field = 'billing_address';
    end if;
end $$;
