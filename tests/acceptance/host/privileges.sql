-- The roles of one app's database: what they are, who may connect, and whose everything is; run in that
-- database. :about is {"owner", "role", "reader"}.
select json_build_object(
    'roles', (
        select json_object_agg(rolname, json_build_object(
            'login', rolcanlogin, 'superuser', rolsuper, 'createdb', rolcreatedb, 'createrole', rolcreaterole,
            'replication', rolreplication, 'bypassrls', rolbypassrls,
            'scram', coalesce(rolpassword like 'SCRAM-SHA-256$%', false),
            'member_of', (
                select coalesce(json_agg(g.rolname), '[]') from pg_auth_members m
                join pg_roles g on g.oid = m.roleid where m.member = a.oid)))
        from pg_authid a where rolname in (:'about'::jsonb ->> 'owner', :'about'::jsonb ->> 'reader')),
    'may_connect', (
        select coalesce(json_agg(rolname order by rolname), '[]') from pg_roles r
        where not rolsuper and has_database_privilege(oid, current_database(), 'CONNECT')
        and not pg_has_role(oid, (:'about'::jsonb ->> 'reader')::text, 'USAGE')),
    'apps', (
        select coalesce(json_agg(i.type || ' ' || i.identity order by i.identity), '[]')
        from pg_shdepend d join pg_database db on d.dbid in (0, db.oid) and db.datname = current_database()
        cross join lateral pg_identify_object(d.classid, d.objid, 0) i
        where d.deptype = 'o' and d.refclassid = 'pg_authid'::regclass
        and d.refobjid = (:'about'::jsonb ->> 'role')::regrole and coalesce(i.schema, '') <> 'pg_temp'),
    'tables', (
        select coalesce(json_agg(json_build_object(
            'table', format('public.%I', c.relname),
            'columns', (
                select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
                where attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated = ''),
            'settable', (
                select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
                where attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated = ''
                and attidentity = ''))
            order by c.relname), '[]')
        from pg_class c where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
        and not exists (select from pg_depend where classid = 'pg_class'::regclass and objid = c.oid
            and deptype = 'e')));
