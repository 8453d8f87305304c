-- One role as the catalog has it: attributes, settings and memberships; never its password.
select jsonb_build_object(
    'version', current_setting('server_version_num')::int / 10000,
    'role', (
        select jsonb_build_object(
            'superuser', rolsuper, 'inherit', rolinherit, 'createrole', rolcreaterole,
            'createdb', rolcreatedb, 'login', rolcanlogin, 'replication', rolreplication,
            'bypassrls', rolbypassrls, 'connection_limit', rolconnlimit,
            'valid_until', case rolvaliduntil
                when 'infinity' then null when '-infinity' then 0
                else extract(epoch from rolvaliduntil)::bigint end)
        from pg_roles where rolname = :'role'),
    'settings', (
        select coalesce(jsonb_agg(setting order by setting), '[]')
        from pg_db_role_setting s join pg_roles r on r.oid = s.setrole, unnest(s.setconfig) setting
        where s.setdatabase = 0 and r.rolname = :'role'),
    -- to_jsonb, because inherit_option is there from 16 on only.
    'member_of', (
        select coalesce(jsonb_agg(jsonb_build_object(
            'role', g.rolname, 'grantor', grantor.rolname, 'admin', m.admin_option,
            'inherit', to_jsonb(m) -> 'inherit_option') order by g.rolname, grantor.rolname), '[]')
        from pg_auth_members m
        join pg_roles r on r.oid = m.member
        join pg_roles g on g.oid = m.roleid
        left join pg_roles grantor on grantor.oid = m.grantor
        where r.rolname = :'role'));
