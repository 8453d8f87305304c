#!/bin/sh
# What hostwright's first deploy of rec_io brings about, as a script on the host itself: the floor of a first converge.
# It looks at nothing before it acts, keeps no way back, and waits until every service answers and has stayed up for
# as long as the gates watch them.
# usage: first.sh RELEASE VENV PG    in a directory of `reference.packed`
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
release=$1 venv=$2 pg=$3
app=/opt/rec_io secrets=/etc/rec_io/secrets
database=rec_io_db owner=rec_io_db_owner role=rec_io_user reader=rec_io_db_reader

put() { tar -C / -xpf files.tar --wildcards "$@"; }
sql() { (cd / && runuser -u postgres -- psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"); }

# The machine.
systemctl --quiet mask supervisor.service pgbouncer.service
apt-get -q -y update
apt-get -q -y --with-new-pkgs upgrade
apt-get -q -y --no-install-recommends install htop iotop logrotate nethogs pgbouncer postgresql postgresql-contrib python3 python3-pip \
    python3-venv supervisor ufw
put 'etc/ssh/*' 'etc/sysctl.d/*'
sshd -t
systemctl reload ssh
ufw allow 22/tcp comment SSH
ufw allow 3000/tcp comment rec_io/main_app
ufw default deny incoming
ufw --force enable
fallocate --length 64M /swapfile
chmod 0600 /swapfile
mkswap /swapfile
swapon /swapfile
echo '/swapfile none swap sw 0 0' >>/etc/fstab
sysctl -q -w vm.swappiness=10

# The database server.
put 'etc/postgresql/*'
systemctl restart "postgresql@$pg-main"

# The app's user, places and secrets.
useradd --system --no-create-home --home-dir "$app" --shell /usr/sbin/nologin --user-group trader
mkdir -p "$app/releases" "$app/parts" "$app/venvs"
for place in . logs backend backend/data backend/data/live_data backend/data/users backend/data/trade_history; do
    install -d -o trader -g trader -m 0750 "$app/shared/$place"
done
chown root:root "$app/shared"
chmod 0755 "$app/shared"
install -d -o root -g trader -m 0750 /etc/rec_io
put 'etc/rec_io/*'

# Its roles and its database.
password() { printf "alter role %s password '%s';\n" "$1" "$(cat "$secrets/$2")"; }
{
    echo "create role $owner login; create role $role login connection limit 80; create role $reader login;"
    password "$owner" db_owner_password
    password "$role" db_password
    password "$reader" db_reader_password
} | sql
sql -c "create database $database owner $owner template template0 encoding 'UTF8'"
sql -d "$database" <<END
revoke all on database $database from public;
grant connect on database $database to $role, $reader;
grant usage on schema public to $role, $reader;
alter default privileges for role $owner grant select, insert, update, delete on tables to $role;
alter default privileges for role $owner grant usage, select on sequences to $role;
alter default privileges for role $owner grant execute on functions to $role;
alter default privileges for role $owner revoke execute on functions from public;
alter default privileges for role $owner grant select on tables to $reader;
alter default privileges for role $owner grant usage on schemas to $role, $reader;
create extension pg_stat_statements;
END
sql -c "select format('\"%s\" \"%s\"', rolname, rolpassword) from pg_authid where rolname = '$role'" \
    >/etc/rec_io/pgbouncer.users
put 'etc/systemd/system/pgbouncer-rec_io.service'
systemctl daemon-reload
systemctl --quiet enable --now pgbouncer-rec_io

# Its release.
tar -C "$app" -xpf app.tar
python3 -I -m venv --without-pip "$app/venvs/$venv"
requirements="$app/releases/$release/requirements.txt"
python3 -m pip --python "$app/venvs/$venv/bin/python" install --quiet --require-hashes --only-binary :all: \
    -r "$requirements"
cp "$requirements" "$app/venvs/$venv/requirements.txt"
python3 -c 'import json, sys; print(end=json.dumps({"python": "%d.%d" % sys.version_info[:2]}))' \
    >"$app/venvs/$venv/.complete"
(
    set -a
    . /etc/rec_io/env
    REC_DB_PORT=5432 REC_DB_USER=$owner REC_DB_PASS=$(cat "$secrets/db_owner_password")
    cd "$app/releases/$release"
    exec runuser -u trader -- venv/bin/python -m backend.migrate
)
sql -d "$database" -c "create index concurrently trades_ticker_created_at_idx on trades (ticker, created_at)"
ln -s "releases/$release" "$app/current"

# Its services, logs and backups.
put 'etc/systemd/system/*' 'usr/local/*' 'etc/logrotate.d/*' 'etc/hostwright/*'
systemctl daemon-reload
systemctl --quiet enable --now rec_io hostwright-backup-rec_io.timer hostwright-prove-rec_io.timer \
    hostwright-config-guard
until [ "$(supervisorctl -c /etc/rec_io/supervisord.conf status | grep -c ' RUNNING ')" = 12 ]; do sleep 0.2; done
for port in 3000 4000 8001 8007; do
    # Until it listens each try ends in a traceback; one that never does is ended by whoever measures.
    until python3 -c "import urllib.request as u; u.urlopen('http://127.0.0.1:$port/health', timeout=5)" 2>/dev/null; do
        sleep 0.2
    done
done
pids() { supervisorctl -c /etc/rec_io/supervisord.conf status | awk '{ print $1, $2, $4 }'; }
before=$(pids)
sleep 3
[ "$(pids)" = "$before" ]
python3 config-guard-control.py accept
systemctl start hostwright-backup-rec_io.service
