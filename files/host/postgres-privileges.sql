-- What one role may do in one schema, compared with what it should; only differences come back.
-- wanted is {"tables": ["SELECT"], ...}: a kind that is missing in it is left alone.
-- Grants of somebody else than the owner, and what an extension brought, are left alone too.
with grantee as (
    select case when :'role' = 'PUBLIC' then 0::oid
        else (select oid from pg_roles where rolname = :'role') end as oid
), wanted as (
    select key as kind, array(select jsonb_array_elements_text(value)) as privileges
    from jsonb_each(:'wanted'::jsonb)
), schema as (
    select * from pg_namespace where nspname = :'schema'
), extension_member as (
    select classid, objid from pg_depend where deptype = 'e'
), object as (
    select 'database' as kind, quote_ident(datname) as object, datdba as owner,
        coalesce(datacl, acldefault('d', datdba)) as acl
    from pg_database where datname = current_database()
    union all
    select 'schema', quote_ident(nspname), nspowner, coalesce(nspacl, acldefault('n', nspowner)) from schema
    union all
    select case relkind when 'S' then 'sequences' else 'tables' end, c.oid::regclass::text, relowner,
        coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner))
    from pg_class c join schema on schema.oid = c.relnamespace
    where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    and not exists (select from extension_member where classid = 'pg_class'::regclass and objid = c.oid)
    union all
    select 'functions', p.oid::regprocedure::text, proowner, coalesce(proacl, acldefault('f', proowner))
    from pg_proc p join schema on schema.oid = p.pronamespace
    where not exists (select from extension_member where classid = 'pg_proc'::regclass and objid = p.oid)
), default_acl as (
    -- Everybody's defaults are global: PostgreSQL cannot take them back in one schema.
    select kind, creator.rolname as object, creator.oid as owner, coalesce(
        d.defaclacl, case when :'role' = 'PUBLIC' then acldefault(lower(letter)::"char", creator.oid) end) as acl
    from (values ('tables', 'r'), ('sequences', 'S'), ('functions', 'f')) kinds(kind, letter)
    cross join jsonb_array_elements_text(:'creators'::jsonb) names(name)
    join pg_roles creator on creator.rolname = names.name
    left join pg_default_acl d on d.defaclrole = creator.oid and d.defaclobjtype = letter::"char"
        and d.defaclnamespace = case when :'role' = 'PUBLIC' then 0::oid else (select oid from schema) end
), compared as (
    select target, kind, object,
        array(select unnest(privileges) except select unnest(have) order by 1) as missing,
        array(select unnest(have) except select unnest(privileges) order by 1) as extra,
        array(select unnest(grantable) intersect select unnest(privileges) order by 1) as grantable
    from (
        select 'object' as target, * from object union all select 'default', * from default_acl
    ) all_targets join wanted using (kind), grantee, lateral (
        select coalesce(array_agg(privilege_type::text), '{}') as have,
            coalesce(array_agg(privilege_type::text) filter (where is_grantable), '{}') as grantable
        from aclexplode(acl) a where a.grantee = grantee.oid and a.grantor = owner
    ) held
    where grantee.oid is distinct from owner
)
select jsonb_build_object(
    'version', current_setting('server_version_num')::int / 10000,
    'schema', exists (select from schema),
    'differences', (
        select coalesce(jsonb_agg(to_jsonb(compared) order by target desc, kind, object), '[]')
        from compared where missing <> '{}' or extra <> '{}' or grantable <> '{}'));
