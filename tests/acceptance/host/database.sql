-- One app's role and database; run in that database. :about is {"role", "database"}.
select json_build_object(
    'role', (
        select json_build_object(
            'login', rolcanlogin, 'superuser', rolsuper, 'createdb', rolcreatedb, 'createrole', rolcreaterole,
            'replication', rolreplication, 'bypassrls', rolbypassrls, 'connection_limit', rolconnlimit,
            'scram', coalesce(rolpassword like 'SCRAM-SHA-256$%', false),
            'expires', rolvaliduntil is not null and rolvaliduntil <> 'infinity',
            'member_of', (
                select coalesce(json_agg(g.rolname), '[]') from pg_auth_members m
                join pg_roles g on g.oid = m.roleid where m.member = a.oid))
        from pg_authid a where rolname = :'about'::jsonb ->> 'role'),
    'owner', (
        select pg_get_userbyid(datdba) from pg_database where datname = :'about'::jsonb ->> 'database'),
    'public_may_connect', (
        select exists (
            select from pg_database d, aclexplode(coalesce(datacl, acldefault('d', datdba))) acl
            where d.datname = :'about'::jsonb ->> 'database' and acl.grantee = 0
                and acl.privilege_type = 'CONNECT')),
    'public_may_create', (
        select exists (
            select from pg_namespace n, aclexplode(coalesce(nspacl, acldefault('n', nspowner))) acl
            where n.nspname = 'public' and acl.grantee = 0 and acl.privilege_type = 'CREATE')),
    'encoding', pg_encoding_to_char(
        (select encoding from pg_database where datname = :'about'::jsonb ->> 'database')),
    'extensions', (select json_agg(extname) from pg_extension));
