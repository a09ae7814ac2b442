-- Takes a column apart that came as one text: values between U+001F, U+001E for null; one value alone stands in every row.
-- A single expression, so that the planner puts it into the statement.
create function vault.apart(packed text, rows integer) returns text[]
language sql immutable
as $$
    select case when position(chr(31) in packed) = 0
                then array_fill(nullif(packed, chr(30)), array[rows])
                else string_to_array(packed, chr(31), chr(30)) end
$$;
