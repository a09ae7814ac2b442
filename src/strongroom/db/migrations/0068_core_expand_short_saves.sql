-- What a save does for nothing, taken away. Postings are looked at where there are some, as everything else is; and rows
-- are found by their index at once: the plans made while a table was empty collect a bitmap first, of one row.
do $$
declare
    body text := pg_get_functiondef('payments.save_together(jsonb)'::regprocedure);
    before constant text := $body$        insert into payments.posting
        select * from jsonb_populate_recordset(null::payments.posting, coalesce(rows -> 'postings', '[]'));
$body$;
begin
    if position(before in body) = 0 then
        raise exception 'postings are not saved as they were';
    end if;
    execute replace(body, before, $body$        if rows ? 'postings' then
            insert into payments.posting
            select * from jsonb_populate_recordset(null::payments.posting, rows -> 'postings');
        end if;
$body$);
end $$;
alter function payments.save_together(jsonb) set enable_bitmapscan = off;
