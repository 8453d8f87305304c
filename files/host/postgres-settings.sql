-- Declared server settings: our file, when it was loaded, and where each value really comes from.
\setenv FILE :file
\! [ ! -e "$CLUSTER_CONF/conf.d/$FILE" ] || stat -c '%U:%G|%a|%.Y' "$CLUSTER_CONF/conf.d/$FILE"
with winner as (
    select distinct on (lower(name)) lower(name) as name, sourcefile, sourceline
    from pg_file_settings where name is not null order by lower(name), seqno desc)
select jsonb_build_object(
    'path', regexp_replace(current_setting('config_file'), '[^/]+$', 'conf.d/') || :'file',
    'loaded', extract(epoch from pg_conf_load_time()),
    'ram', substring(pg_read_file('/proc/meminfo', 0, 4096) from 'MemTotal: +([0-9]+) kB')::int8,
    'include', pg_read_file(current_setting('config_file'))
        ~ '(^|\n)[ \t]*include_dir[ \t]*=?[ \t]*''conf\.d/?''',
    'sha256', encode(sha256(pg_read_binary_file(
        regexp_replace(current_setting('config_file'), '[^/]+$', 'conf.d/') || :'file', 0, 1048576, true)), 'hex'),
    'settings', (
        select coalesce(jsonb_agg(jsonb_build_object(
            'name', declared.name, 'file', w.sourcefile, 'line', w.sourceline, 'source', s.source)
            order by declared.name), '[]')
        from jsonb_array_elements_text(:'names'::jsonb) declared(name)
        left join pg_settings s on lower(s.name) = declared.name
        left join winner w on w.name = declared.name),
    'pending', (
        select coalesce(jsonb_agg(s.name order by s.name), '[]')
        from pg_settings s left join winner w on w.name = lower(s.name)
        where s.pending_restart and (w.sourcefile is null or w.sourcefile =
            regexp_replace(current_setting('config_file'), '[^/]+$', 'conf.d/') || :'file')));
