-- One extension in this database: what is installed, and what could be.
select jsonb_build_object(
    'version', current_setting('server_version_num')::int / 10000,
    'installed', (
        select jsonb_build_object(
            'version', e.extversion, 'schema', n.nspname, 'relocatable', e.extrelocatable)
        from pg_extension e join pg_namespace n on n.oid = e.extnamespace where e.extname = :'extension'),
    'versions', (
        select coalesce(jsonb_agg(version order by version), '[]')
        from pg_available_extension_versions where name = :'extension'));
