-- Take a column apart that came as one text (`db.columns`): values between U+001F, U+001E for null; one value alone stands
-- in every row, and is read once. Single expressions, so that the planner puts them into the statement.
create function vault.apart(packed text, rows integer) returns text[]
language sql immutable
as $$
    select case when position(chr(31) in packed) = 0
                then array_fill(packed, array[rows])
                else string_to_array(packed, chr(31), chr(30)) end
$$;

create function vault.apart_numbers(packed text, rows integer) returns integer[]
language sql immutable
as $$
    select case when position(chr(31) in packed) = 0
                then array_fill(nullif(packed, '')::integer, array[rows])
                else string_to_array(packed, chr(31), chr(30))::integer[] end
$$;

create function vault.apart_moments(packed text, rows integer) returns timestamptz[]
language sql stable
as $$
    select case when position(chr(31) in packed) = 0
                then array_fill(nullif(packed, '')::timestamptz, array[rows])
                else string_to_array(packed, chr(31), chr(30))::timestamptz[] end
$$;

-- The hot write of migration 0025, whose columns come as one text or one run of bytes each: a driver looks at every element
-- of an array. 32 zero bytes are no fingerprint. A function, so that its one statement is planned once a session.
create function vault.put_columns(
    groups          integer,
    tokens          integer,
    records         integer,
    t_sealed_bytes  integer,
    a_payload_bytes integer,              -- the longest; zeros behind the shorter ones
    merchants       text[],
    k_merchant      text,
    k_mode          text,
    k_route         text,
    k_key           text,
    k_claim         text,
    k_fingerprint   bytea,
    k_status        text,
    k_object        text,
    k_response      bytea[],
    t_group         text,
    t_token         text,
    t_sealed        bytea,
    t_key_version   text,
    t_brand         text,
    t_bin           text,
    t_last4         text,
    t_exp_month     text,
    t_exp_year      text,
    t_fingerprint   bytea,
    t_fp_version    text,
    t_single_use    text,
    t_expires_at    text,
    t_metadata      text,
    t_created_by    text,
    t_created_at    text,
    t_container     text,
    t_kind          text,
    t_alias         text,
    d_item          integer[],
    d_field         text[],
    d_sealed        bytea[],
    d_key_version   integer[],
    d_expires_at    timestamptz[],
    a_group         text,
    a_event         text,
    a_payload       bytea,
    a_leaf          bytea,
    a_mac           bytea
) returns table (kind text, group_no integer, item integer, token_id text,
                 fingerprint bytea, status integer, object_id text, response bytea)
language plpgsql
set plan_cache_mode = force_generic_plan
as $$
#variable_conflict use_variable
begin
    return query
        select p.kind, p.group_no, p.item, p.token_id, p.fingerprint, p.status, p.object_id, p.response
          from vault.put_tokens(
                   merchants,
                   vault.apart(k_merchant, groups), vault.apart(k_mode, groups), k_route,
                   vault.apart(k_key, groups), vault.apart(k_claim, groups),
                   array(select substring(k_fingerprint from i for 32)
                           from generate_series(1, length(k_fingerprint), 32) i),
                   vault.apart_numbers(k_status, groups), vault.apart(k_object, groups), k_response,
                   vault.apart_numbers(t_group, tokens), vault.apart(t_token, tokens),
                   array(select substring(t_sealed from i for t_sealed_bytes)
                           from generate_series(1, length(t_sealed), t_sealed_bytes) i),
                   vault.apart_numbers(t_key_version, tokens), vault.apart(t_brand, tokens),
                   vault.apart(t_bin, tokens), vault.apart(t_last4, tokens),
                   vault.apart_numbers(t_exp_month, tokens), vault.apart_numbers(t_exp_year, tokens),
                   array(select nullif(substring(t_fingerprint from i for 32), decode(repeat('00', 32), 'hex'))
                           from generate_series(1, length(t_fingerprint), 32) i),
                   vault.apart_numbers(t_fp_version, tokens), vault.apart_numbers(t_single_use, tokens)::boolean[],
                   vault.apart_moments(t_expires_at, tokens), vault.apart(t_metadata, tokens),
                   vault.apart(t_created_by, tokens), vault.apart_moments(t_created_at, tokens),
                   vault.apart(t_container, tokens), vault.apart(t_kind, tokens), vault.apart(t_alias, tokens),
                   d_item, d_field, d_sealed, d_key_version, d_expires_at,
                   vault.apart_numbers(a_group, records), vault.apart(a_event, records),
                   array(select rtrim(substring(a_payload from i for a_payload_bytes), '\x00')
                           from generate_series(1, length(a_payload), a_payload_bytes) i),
                   array(select substring(a_leaf from i for 32) from generate_series(1, length(a_leaf), 32) i),
                   array(select substring(a_mac from i for 32) from generate_series(1, length(a_mac), 32) i)) p;
end $$;
