-- One database as the catalog has it: first line; the second is of postgres-schema.sql.
select jsonb_build_object('version', current_setting('server_version_num')::int / 10000, 'database', (
select jsonb_build_object(
    'owner', pg_get_userbyid(d.datdba),
    'encoding', pg_encoding_to_char(d.encoding),
    'collate', d.datcollate, 'ctype', d.datctype,
    -- Another provider than libc keeps its locale in a column whose name changed in 17.
    'locale', coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale', d.datcollate),
    'connection_limit', d.datconnlimit,
    'settings', (
        select coalesce(jsonb_agg(setting order by setting), '[]')
        from pg_db_role_setting s, unnest(s.setconfig) setting
        where s.setrole = 0 and s.setdatabase = d.oid),
    'public', (
        select coalesce(jsonb_agg(a.privilege_type order by a.privilege_type), '[]')
        from aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) a where a.grantee = 0))
from pg_database d where d.datname = :'database'));
