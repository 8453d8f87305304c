# A fresh database that is as the live one is, but for what is in it. A part of restore-*.py.
import json
import re

from restore_common import NAME_LISTS, identifier, literal, psql


def create(now, fresh):
    """Create it from PostgreSQL's own template: same owner, encoding, locale, tablespace and limit."""
    words = [
        f"create database {identifier(fresh)} owner {identifier(now['owner'])} template template0",
        f"encoding {literal(now['encoding_name'])}",
        f"lc_collate {literal(now['datcollate'])} lc_ctype {literal(now['datctype'])}",
        f"tablespace {identifier(now['tablespace'])} connection limit {now['datconnlimit']}",
    ]
    provider = {"i": "icu", "b": "builtin"}.get(now.get("datlocprovider"))
    if provider:
        # The column's name changed in 17.
        locale = now.get("datlocale") or now.get("daticulocale")
        words.append(f"locale_provider {provider} {provider}_locale {literal(locale)}")
    psql("\n".join([*words, ";", *settings(now, fresh), *privileges(now, fresh), *comment(now, fresh)]))
    return int(psql("select oid from pg_database where datname = :'name';", variables={"name": fresh})[0][0])


def settings(now, fresh):
    """Write the statements that give it the live one's settings, also those of single roles."""
    rows = psql(
        f"""select coalesce(to_json(r.rolname)::text, 'null'), to_json(setting) from pg_db_role_setting s
        left join pg_roles r on r.oid = setrole, unnest(setconfig) setting
        where setdatabase = {now["oid"]};"""
    )
    statements = []
    for role, setting in ((json.loads(one), json.loads(other)) for one, other in rows):
        name, value = setting.split("=", 1)
        parts = [value]
        if name.lower() in NAME_LISTS:
            found = re.findall(r'\s*(?:"((?:[^"]|"")*)"|([^",]+))\s*(?:,|$)', value)
            parts = [plain.strip() if plain else quoted.replace('""', '"') for quoted, plain in found]
        whom = f"role {identifier(role)} in database" if role is not None else "database"
        dotted = ".".join(identifier(part) for part in name.split("."))
        statements.append(
            f"alter {whom} {identifier(fresh)} set {dotted} to {', '.join(literal(part) for part in parts)};"
        )
    return statements


def comment(now, fresh):
    """Write the statement that gives it the live one's comment, which no dump has."""
    rows = psql(f"select to_json(shobj_description({now['oid']}, 'pg_database'));")
    said = json.loads(rows[0][0] or "null") if rows and rows[0] else None
    return [] if said is None else [f"comment on database {identifier(fresh)} is {literal(said)};"]


def privileges(now, fresh):
    """Write the statements that let in whom the live one lets in, and nobody else."""
    if now["datacl"] is None:
        return []
    rows = psql(
        f"""select case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end,
        privilege_type, is_grantable from pg_database, aclexplode(datacl)
        where oid = {now["oid"]} and grantee <> datdba;"""
    )
    target = f"on database {identifier(fresh)}"
    return [
        f"revoke all {target} from public;",
        *(
            f"grant {what} {target} to {who}{' with grant option' if grantable == 't' else ''};"
            for who, what, grantable in rows
        ),
    ]


# One statement for each extension that the live database has: a superuser's affair, which no dump can do as
# the app's own role.
EXTENSIONS = """select
case when nspname = 'pg_catalog' then '' else format('create schema if not exists %I;', nspname) end
|| format('create extension if not exists %I schema %I;', extname, nspname)
from pg_extension join pg_namespace n on n.oid = extnamespace where extname <> 'plpgsql';"""

# What other roles than the owner may do, object by object, as GRANTs that pass over what is not there.
NAMED = r"""with named as (
    select 'schema' as kind, format('%I', nspname) as name, nspname as space, nspacl as acl, nspowner as owner
    from pg_namespace where nspname !~ '^pg_' and nspname <> 'information_schema'
    union all
    select case relkind when 'S' then 'sequence' else 'table' end, format('%I.%I', nspname, relname), nspname,
        relacl, relowner
    from pg_class join pg_namespace n on n.oid = relnamespace
    where relkind in ('r', 'p', 'v', 'm', 'f', 'S') and nspname !~ '^pg_' and nspname <> 'information_schema'
    union all
    select 'routine', p.oid::regprocedure::text, nspname, proacl, proowner
    from pg_proc p join pg_namespace n on n.oid = pronamespace
    where nspname !~ '^pg_' and nspname <> 'information_schema'
)"""
# First: what everybody may do with a new schema or routine by PostgreSQL's own default, and not
# in the live one.
REVOKES = (
    NAMED
    + r"""
select format('do $do$ begin if %s is not null then revoke all on %s %s from public; end if; end $do$;',
    format(case kind when 'schema' then 'to_regnamespace(%L)' else 'to_regprocedure(%L)' end, name),
    kind, name)
from named where kind in ('schema', 'routine') and acl is not null;
"""
)
GRANTS = (
    NAMED
    + r""", granted as (
    select kind, name, grantee, privilege_type, is_grantable, owner, acl
    from named, aclexplode(acl) where acl is not null and grantee <> owner
)
select format('do $do$ begin if %s is not null then grant %s on %s %s to %s%s; end if; end $do$;',
    case kind when 'schema' then format('to_regnamespace(%L)', name)
        when 'routine' then format('to_regprocedure(%L)', name) else format('to_regclass(%L)', name) end,
    privilege_type, kind, name,
    case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end,
    case when is_grantable then ' with grant option' else '' end)
from granted
union all
select format('alter default privileges for role %I %s grant %s on %s to %s;', pg_get_userbyid(defaclrole),
    case when nspname is null then '' else format('in schema %I', nspname) end, privilege_type,
    case defaclobjtype when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions'
        when 'T' then 'types' else 'schemas' end,
    case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end)
from pg_default_acl left join pg_namespace n on n.oid = defaclnamespace, aclexplode(defaclacl)
where grantee <> defaclrole and (nspname is null or nspname !~ '^pg_')
union all
-- What everybody has by PostgreSQL's own default, and has not here.
select format('alter default privileges for role %I revoke %s from public;', pg_get_userbyid(defaclrole),
    case defaclobjtype when 'f' then 'execute on functions' else 'usage on types' end)
from pg_default_acl where defaclnamespace = 0 and defaclobjtype in ('f', 'T')
and not exists (select from aclexplode(defaclacl) where grantee = 0);
"""
)


def copied(query, database, fresh):
    """Do in the fresh database what a query of the live one says."""
    statements = [row[0] for row in psql(query, database)]
    if statements:
        psql("\n".join(["set client_min_messages = error;", *statements]), fresh)


def extensions(database, fresh):
    copied(EXTENSIONS, database, fresh)


def grants(database, fresh):
    copied(REVOKES, database, fresh)
    copied(GRANTS, database, fresh)
