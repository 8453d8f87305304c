-- One app's database: what its roles may do in it compared with what they should, and what its role owns.
-- wanted is {"role": {"tables": ["SELECT"], ...}, ...}: a kind that is missing for a role is left alone.
-- Grants of somebody else than the owner, what an extension brought, and the functions that come with a type
-- are left alone too.
with wanted as (
    select roles.key as role, kinds.key as kind,
        array(select jsonb_array_elements_text(kinds.value)) as privileges,
        case when roles.key = 'PUBLIC' then 0::oid
            else (select oid from pg_roles where rolname = roles.key) end as grantee
    from jsonb_each(:'wanted'::jsonb) roles, jsonb_each(roles.value) kinds
), extension_member as (
    select classid, objid from pg_depend where deptype = 'e'
), of_a_type as (
    select objid from pg_depend
    where classid = 'pg_proc'::regclass and refclassid = 'pg_type'::regclass and deptype = 'i'
), schema as (
    select * from pg_namespace n where nspname !~ '^pg_' and nspname <> 'information_schema'
    and not exists (select from extension_member where classid = 'pg_namespace'::regclass and objid = n.oid)
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
    and not exists (select from of_a_type where objid = p.oid)
), kinds as (
    select * from (values ('schema', 'n'), ('tables', 'r'), ('sequences', 'S'), ('functions', 'f')) k(kind, letter)
), default_acl as (
    -- What the owner makes later: in every schema, and what is added to that in one.
    select kind, null as schema, creator.oid as owner,
        coalesce(d.defaclacl, acldefault(lower(letter)::"char", creator.oid)) as acl
    from kinds cross join pg_roles creator
    left join pg_default_acl d on d.defaclrole = creator.oid and d.defaclobjtype = letter::"char"
        and d.defaclnamespace = 0
    where creator.rolname = :'owner'
    union all
    select kind, quote_ident(n.nspname), creator.oid, d.defaclacl
    from pg_default_acl d join kinds on d.defaclobjtype = letter::"char"
    join pg_roles creator on creator.oid = d.defaclrole join pg_namespace n on n.oid = d.defaclnamespace
    where creator.rolname = :'owner'
), target as (
    select 'object' as target, kind, object, null as schema, owner, acl from object
    union all
    select 'default', kind, quote_ident(:'owner'), schema, owner, acl from default_acl
), compared as (
    select target, kind, object, schema, role,
        -- What is granted in every schema is not missing in one.
        case when schema is null
            then array(select unnest(privileges) except select unnest(have) order by 1) else '{}' end as missing,
        array(
            select unnest(have) except
            select unnest(case when schema is null then privileges else '{}' end) order by 1) as extra,
        array(select unnest(grantable) intersect select unnest(privileges) order by 1) as grantable
    from target join wanted using (kind), lateral (
        select coalesce(array_agg(privilege_type::text), '{}') as have,
            coalesce(array_agg(privilege_type::text) filter (where is_grantable), '{}') as grantable
        from aclexplode(acl) a where a.grantee = wanted.grantee and a.grantor = owner
    ) held
    where wanted.grantee is distinct from owner
)
select jsonb_build_object(
    'extensions', (select coalesce(jsonb_agg(extname order by extname), '[]') from pg_extension),
    'differences', (
        select coalesce(jsonb_agg(to_jsonb(compared) order by target, kind, object, schema, role), '[]')
        from compared where missing <> '{}' or extra <> '{}' or grantable <> '{}'),
    'owned', (
        -- What the app's role owns and can be given away: not what an extension brought, not a session's
        -- temporary tables; a sequence of a table's column goes with its table.
        select coalesce(jsonb_agg(jsonb_build_object(
            'type', i.type, 'identity', i.identity, 'sequences', (
                select coalesce(jsonb_agg(s.oid::regclass::text order by s.oid), '[]')
                from pg_depend p join pg_class s on s.oid = p.objid and s.relkind = 'S'
                where p.classid = 'pg_class'::regclass and p.refclassid = d.classid and p.refobjid = d.objid
                    and p.deptype in ('a', 'i'))) order by i.type, i.identity), '[]')
        from pg_shdepend d
        join pg_database db on db.oid = d.dbid and db.datname = current_database()
        join pg_roles r on r.oid = d.refobjid and r.rolname = :'app'
        cross join lateral pg_identify_object(d.classid, d.objid, 0) i
        where d.deptype = 'o' and d.refclassid = 'pg_authid'::regclass
        and i.type in ('schema', 'table', 'view', 'materialized view', 'foreign table', 'sequence', 'function',
            'procedure', 'aggregate', 'type', 'collation', 'conversion', 'operator', 'operator class',
            'operator family', 'statistics object', 'text search configuration', 'text search dictionary',
            'server', 'large object', 'language', 'publication')
        and coalesce(i.schema, '') <> 'pg_temp'
        -- From 17 on a multirange goes with its range.
        and not (d.classid = 'pg_type'::regclass and current_setting('server_version_num')::int >= 170000
            and exists (select from pg_type t where t.oid = d.objid and t.typtype = 'm'))
        and not exists (select from extension_member e where e.classid = d.classid and e.objid = d.objid)
        and not exists (
            select from pg_depend p join pg_class s on s.oid = p.objid and s.relkind = 'S'
            where p.classid = d.classid and p.objid = d.objid and p.deptype in ('a', 'i')
                and p.refclassid = 'pg_class'::regclass and p.refobjsubid > 0)));
