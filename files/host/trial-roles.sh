# Save what roles may do and their password verifiers, as SQL; or bring them back where they differ.
# usage: trial-roles.sh record CLUSTER ROLE...        SQL on standard output
#        trial-roles.sh restore CLUSTER FILE ROLE...  of FILE, which is such an output, these roles
# CLUSTER is VERSION/NAME, or empty for the host's only one.
set -eu
umask 077
verb=$1
if [ -n "$2" ]; then export PGCLUSTER="$2"; fi
shift 2
cd /

# A comment names each role, so that the same roles are asked for again.
state() {
    for role; do
        printf '%s\n' "$role"
    done | runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -d postgres -c '
        create temporary table asked (role name);
        copy asked from stdin;' -c "
        select format('alter role %I %s %s %s %s %s %s %s connection limit %s password %L%s;', rolname,
            case when rolsuper then 'superuser' else 'nosuperuser' end,
            case when rolinherit then 'inherit' else 'noinherit' end,
            case when rolcreaterole then 'createrole' else 'nocreaterole' end,
            case when rolcreatedb then 'createdb' else 'nocreatedb' end,
            case when rolcanlogin then 'login' else 'nologin' end,
            case when rolreplication then 'replication' else 'noreplication' end,
            case when rolbypassrls then 'bypassrls' else 'nobypassrls' end,
            rolconnlimit, rolpassword, ' valid until ' || quote_literal(rolvaliduntil::text))
            || ' -- ' || rolname
        from pg_authid join asked on role = rolname order by rolname"
}

case $verb in
record) state "$@" ;;
restore)
    file=$1
    shift
    wanted=$(for role; do sed -n "/ -- $role\$/p" "$file"; done | LC_ALL=C sort)
    [ -n "$wanted" ] || exit 0
    set -- $(printf '%s\n' "$wanted" | sed 's/^.* -- //')
    if [ "$(state "$@" | LC_ALL=C sort)" != "$wanted" ]; then
        # Verifiers are no business of the server's log or statistics.
        {
            echo "set log_statement = 'none'; set log_min_duration_statement = -1; set log_min_error_statement = panic;"
            echo "set pg_stat_statements.track = 'none';"
            printf '%s\n' "$wanted"
        } | runuser -u postgres -- psql -Xq -v ON_ERROR_STOP=1 -1 -d postgres
        echo "put back the attributes of the roles $*"
    fi
    ;;
esac
