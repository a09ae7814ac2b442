-- Numbers are sealed anew row by row, each by its whole primary key, as details and fingerprints are since migration 0071. That
-- one chose one statement for all where the table had been counted. A vacuum counts it, too, and says nothing of its columns;
-- and a merchant who came since the last analyze is taken for one row even then. The one statement read all of the
-- merchant's tokens then, and compared each with every row of the page: five seconds for a hundred.
create or replace function vault.reseal_tokens(
    of_merchant text, in_mode text, ids text[], olds bytea[], news bytea[], version integer
) returns integer
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
    touched integer := 0;
begin
    for i in 1 .. cardinality(ids) loop
        update vault.token t set sealed_number = news[i], key_version = version
         where t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = ids[i] and t.sealed_number = olds[i];
        if found then
            touched := touched + 1;
        end if;
    end loop;
    return touched;
end $$;
