-- The rows of a database's ledger in the order they were applied. Only a plain table of plain text is read:
-- its owner is the app, and what is read here is read by the administrator.
select exists (
    select from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'name'
        and a.atttypid in ('text'::regtype, 'varchar'::regtype)
    where n.nspname = 'public' and c.relname = 'schema_migrations' and c.relkind = 'r') as present,
exists (
    select from pg_attribute
    where attrelid = to_regclass('public.schema_migrations') and attname = 'sha256'
        and atttypid in ('text'::regtype, 'varchar'::regtype, 'bpchar'::regtype)) as has_digest
\gset
\if :present
\if :has_digest
select json_agg(json_build_object('name', name, 'sha256', sha256) order by name collate "C")
from public.schema_migrations;
\else
select json_agg(json_build_object('name', name, 'sha256', null) order by name collate "C")
from public.schema_migrations;
\endif
\endif
