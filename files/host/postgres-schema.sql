-- Who owns schema public of this database, and what everybody may do in it.
select coalesce((
    select jsonb_build_object('owner', pg_get_userbyid(n.nspowner), 'public', (
        select coalesce(jsonb_agg(a.privilege_type order by a.privilege_type), '[]')
        from aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a where a.grantee = 0))
    from pg_namespace n where n.nspname = 'public'), 'null');
