-- The file of access rules, when it was loaded, and what the server finds wrong with it.
select current_setting('hba_file') as hba \gset
\setenv HBA :hba
\! stat -c '%U:%G|%a|%.Y' "$HBA"
select jsonb_build_object(
    'loaded', extract(epoch from pg_conf_load_time()),
    'path', current_setting('hba_file'),
    'sha256', encode(sha256(pg_read_binary_file(current_setting('hba_file'))), 'hex'),
    'errors', (select count(*) from pg_hba_file_rules where error is not null));
