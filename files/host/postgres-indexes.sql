-- Declared indexes in this database: what is there under each name, and each in PostgreSQL's own spelling.
-- :'declared' is a JSON list of name, schema, table, unique and body, which begins with USING.
-- One that is spelled as PostgreSQL does, or is not there, needs no more looking at.
select exists (
    select from jsonb_array_elements(:'declared'::jsonb) d
    join pg_namespace n on n.nspname = d->>'schema'
    join pg_class c on c.relnamespace = n.oid and c.relname = d->>'name' and c.relkind = 'i'
    where substr(pg_get_indexdef(c.oid), strpos(pg_get_indexdef(c.oid), ' USING ') + 1) <> d->>'body') as another,
    set_config('hostwright.declared', :'declared', false) as ignored,
    set_config('hostwright.spelled', '{}', false) as ignored_too \gset
\if :another
do $$
declare
    one jsonb;
    found jsonb := '{}';
    body text;
begin
    for one in
        select d from jsonb_array_elements(current_setting('hostwright.declared')::jsonb) d
        join pg_namespace n on n.nspname = d->>'schema'
        join pg_class c on c.relnamespace = n.oid and c.relname = d->>'name' and c.relkind = 'i'
        where substr(pg_get_indexdef(c.oid), strpos(pg_get_indexdef(c.oid), ' USING ') + 1) <> d->>'body'
    loop
        begin
            -- As the table's owner, whose functions an expression may call; all of it is undone below.
            perform set_config('role', pg_get_userbyid(c.relowner)::text, true)
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where n.nspname = one->>'schema' and c.relname = one->>'table';
            execute format('create temporary table %I (like %I.%I)', one->>'table', one->>'schema', one->>'table');
            perform set_config('search_path', format('pg_catalog, %I, public', one->>'schema'), true);
            execute format('create index %I on pg_temp.%I %s', one->>'name', one->>'table', one->>'body');
            perform set_config('search_path', 'pg_catalog', true);
            select substr(pg_get_indexdef(i.indexrelid), strpos(pg_get_indexdef(i.indexrelid), ' USING ') + 1)
            into body from pg_index i where i.indrelid = format('pg_temp.%I', one->>'table')::regclass;
            raise exception sqlstate 'HWOK1';
        exception
            when sqlstate 'HWOK1' then
                found := found || jsonb_build_object(one->>'name', jsonb_build_object('body', body));
            when others then
                found := found || jsonb_build_object(one->>'name', jsonb_build_object('error', sqlerrm));
        end;
    end loop;
    perform set_config('hostwright.spelled', found::text, false);
end
$$;
\endif
select jsonb_agg(jsonb_build_object(
    'name', d->>'name',
    'kind', t.relkind,
    'spelled', current_setting('hostwright.spelled')::jsonb->(d->>'name')->>'body',
    'error', current_setting('hostwright.spelled')::jsonb->(d->>'name')->>'error',
    'there', case when c.oid is not null then jsonb_build_object(
        'index', c.relkind = 'i', 'table', on_table.relname, 'valid', coalesce(i.indisvalid, false),
        'unique', coalesce(i.indisunique, false),
        'body', case when c.relkind = 'i'
            then substr(pg_get_indexdef(c.oid), strpos(pg_get_indexdef(c.oid), ' USING ') + 1) end) end)
    order by d->>'name')
from jsonb_array_elements(:'declared'::jsonb) d
left join pg_namespace n on n.nspname = d->>'schema'
left join pg_class t on t.relnamespace = n.oid and t.relname = d->>'table'
left join pg_class c on c.relnamespace = n.oid and c.relname = d->>'name'
left join pg_index i on i.indexrelid = c.oid
left join pg_class on_table on on_table.oid = i.indrelid;
