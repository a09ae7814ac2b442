-- The backup's login reads every row: by a policy on each table, so that it need not bypass row-level security. It calls
-- this before it reads, because partitions come by themselves; a dump of a table without the policy would be empty.
create function strongroom.let_backup_read() returns integer
language plpgsql security definer set search_path = pg_catalog as $$
declare
    each record;
    changed integer := 0;
begin
    for each in
        select n.nspname, c.relname, c.relrowsecurity,
               exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'backup') as has_policy,
               has_table_privilege('strongroom_backup', c.oid, 'SELECT') as readable
          from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p', 'S') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'public')
    loop
        if not each.readable then
            execute format('grant usage on schema %I to strongroom_backup', each.nspname);
            execute format('grant select on %I.%I to strongroom_backup', each.nspname, each.relname);
            changed := changed + 1;
        end if;
        if each.relrowsecurity and not each.has_policy then
            execute format('create policy backup on %I.%I for select to strongroom_backup using (true)',
                           each.nspname, each.relname);
            changed := changed + 1;
        end if;
    end loop;
    return changed;
end $$;
revoke all on function strongroom.let_backup_read() from public;
