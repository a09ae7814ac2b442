-- Everything that is decided by before a card is shown, in one round trip: the card, the caller's last stop, and how many
-- the caller was shown since that is over, at most `bound`. Of one caller's calls at once the second waits for the first
-- one's commit, and then counts it: each statement of a function sees what was committed before it.
create function vault.begin_reveal(
    of_merchant text,
    in_mode     text,
    token       text,
    for_caller  text,
    at          timestamptz,
    within      interval,
    bound       integer
) returns table (
    container text, sealed_number bytea, key_version integer, brand text, last4 text, exp_month integer,
    exp_year integer, single_use boolean, recent integer, stop_count integer, stopped_at timestamptz,
    ends_at timestamptz, lifted_at timestamptz, lifted_by text
)
language plpgsql
set plan_cache_mode = force_generic_plan set enable_seqscan = off
as $$
#variable_conflict use_column
declare
    card   record;
    stop   record;
    shown  integer;
begin
    perform pg_advisory_xact_lock(hashtextextended('reveal:' || of_merchant || ':' || for_caller, 0));
    select s.count, s.stopped_at, s.ends_at, s.lifted_at, s.lifted_by into stop
      from vault.reveal_stop s
     where s.merchant_id = of_merchant and s.mode = in_mode and s.caller = for_caller;
    -- What led to a stop that is over leads to no second one (`greatest` and `least` leave nulls out).
    select count(*)::integer into shown from (
        select 1 from vault.reveal r
         where r.merchant_id = of_merchant and r.mode = in_mode and r.caller = for_caller
           and r.revealed_at > greatest(at - within, least(stop.ends_at, stop.lifted_at))
         limit bound
    ) recent;
    select t.container, t.sealed_number, t.key_version, t.brand, t.last4, t.exp_month, t.exp_year, t.single_use into card
      from vault.token t
     where t.merchant_id = of_merchant and t.mode = in_mode and t.token_id = token
       and (t.expires_at is null or t.expires_at > at);
    return query select card.container, card.sealed_number, card.key_version, card.brand, card.last4,
                        card.exp_month::integer, card.exp_year::integer, card.single_use, shown, stop.count,
                        stop.stopped_at, stop.ends_at, stop.lifted_at, stop.lifted_by;
end $$;
