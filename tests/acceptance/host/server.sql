-- Server settings with where they come from, and the access rules. :about is the list of declared settings.
select json_build_object(
    'version', current_setting('server_version_num')::int,
    'conf', regexp_replace(current_setting('config_file'), '/[^/]+$', ''),
    'settings', (
        select json_object_agg(lower(s.name), json_build_object(
            'setting', s.setting, 'unit', s.unit, 'type', s.vartype, 'context', s.context, 'file', s.sourcefile,
            'winner', (
                select f.sourcefile from pg_file_settings f
                where lower(f.name) = lower(s.name) and f.error is null order by f.seqno desc limit 1)))
        from pg_settings s
        where lower(s.name) in (select lower(jsonb_array_elements_text(:'about'::jsonb)))),
    'waiting', (select coalesce(json_agg(name order by name), '[]') from pg_settings where pending_restart),
    'overrides', (
        select coalesce(json_agg(format('%s for %s in %s', c.entry, coalesce(r.rolname, 'every role'),
            coalesce(d.datname, 'every database'))), '[]')
        from pg_db_role_setting s
        left join pg_roles r on r.oid = s.setrole
        left join pg_database d on d.oid = s.setdatabase
        cross join lateral unnest(s.setconfig) as c(entry)
        where lower(split_part(c.entry, '=', 1)) in (select lower(jsonb_array_elements_text(:'about'::jsonb)))),
    'file_errors', (
        select coalesce(json_agg(format('%s:%s %s', sourcefile, sourceline, error)), '[]')
        from pg_file_settings where error is not null and sourcefile not like '%/postgresql.auto.conf'),
    'hba', (
        select coalesce(json_agg(json_build_object(
            'line', line_number, 'type', type, 'database', database, 'role', user_name, 'address', address,
            'netmask', netmask, 'method', auth_method, 'error', error) order by line_number), '[]')
        from pg_hba_file_rules),
    'hba_loaded', (
        select pg_conf_load_time() >= modification from pg_stat_file(current_setting('hba_file'))));
