-- A key that has ended stays ended, whoever asks and under whatever login: a row that says when cannot say otherwise.
create function identity.refuse_revival() returns trigger language plpgsql set search_path = pg_catalog as $$
begin
    if old.revoked_at is not null and new.revoked_at is distinct from old.revoked_at then
        raise exception 'a key that has ended stays ended' using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;
create trigger stays_ended before update of revoked_at on identity.api_key
    for each row execute function identity.refuse_revival();

-- Ends one key of the tenant that the transaction states, now, and returns its kind; null: there is none. It runs as the
-- owner, whom row-level security binds as well, so that the vault needs no right to change a key.
create function identity.end_key(of_merchant text, of_mode text, of_key text) returns text
language plpgsql security definer set search_path = pg_catalog as $$
begin
    update identity.api_key set revoked_at = now()
     where merchant_id = of_merchant and mode = of_mode and key_id = of_key and revoked_at is null;
    return (select kind from identity.api_key
             where merchant_id = of_merchant and mode = of_mode and key_id = of_key);
end $$;
revoke all on function identity.end_key(text, text, text) from public;
