"""
Every knob, for all environments.

An environment's own file beside this one states only what differs, in `overrides`, which is laid over this
table by table: overrides = {"swap": {"size": "4G"}, "apps": {"rec_io": {"keep_releases": 2}}}.
"""

# --- The machine -------------------------------------------------------------------------------------------

# Debian packages beyond those that the layers below install for themselves.
packages = ["htop", "iotop", "nethogs"]

# What packages merely recommend, such as a compiler beside pip: two thirds of all that would be installed.
install_recommends = False

# Install pending package upgrades with each run.
upgrade = True

# How hosts are reached over SSH: "fast", or "plain", pyinfra and its own connector as they come.
connector = "fast"

# A run that changes a host is on trial until it is confirmed: without a sign of life from it for this many
# seconds the host undoes the change by itself.
trial = {"seconds": 300}

# Look at a host before the first change and once it is confirmed, and tell what is worse: some 5 s more for a
# run that changes something. docs/diagnostics.md.
diagnose = False

# How people log in, on the port that the inventory names. `authorized_keys` adds ED25519 public keys to the
# login user; `key_only` switches password logins off, and is refused while that user has no key on the host.
ssh = {"authorized_keys": [], "key_only": True}

# The swap file; `size` None removes it. `swappiness`: 0 to 100, how readily memory is swapped out.
swap = {"path": "/swapfile", "size": "2G", "swappiness": 10}

# The firewall closes everything but SSH, the public services of the apps, and what `allow` names:
# {"port": 51820, "protocol": "udp", "source": "203.0.113.0/24", "comment": "WireGuard"}.
firewall = {"enabled": True, "ssh_from": ["any"], "allow": []}

# A service that records who changes an app's configuration, other than a run (docs/config.md); False removes
# it.
config_guard = True

# --- The database server -----------------------------------------------------------------------------------

# `memory`: "auto" computes shared_buffers, work_mem and their like from the host's RAM, a size such as "2G"
# from that much, None not at all. `settings` takes any PostgreSQL setting by name, and wins over it.
# `hba` lets others than the apps of the host itself in:
# {"type": "hostssl", "database": "rec_io_db", "role": "reader", "network": "203.0.113.7/32"}.
postgresql = {
    "cluster": None,  # "15/main", where a host has several
    "port": 5432,
    "listen_addresses": ["localhost"],
    "memory": "auto",
    "statements": True,  # count what statements cost; queries.py shows it
    "settings": {"log_min_duration_statement": "500ms", "idle_in_transaction_session_timeout": "5min"},
    "hba": [],
    # Going back to any moment, by pgBackRest: None, or {"full": "Sun 02:00", "incremental": "02:00",
    # "keep_full": 2, "repository": "/var/lib/pgbackrest"}, "s3" for a bucket; {"enabled": False} ends it.
    # docs/recovery.md.
    "recovery": None,
}

# --- Watching ----------------------------------------------------------------------------------------------

# The gates of all apps, run on the host itself between deploys: None, or {"every": 60, "restart_after": 3,
# "restarts_per_hour": 3}: seconds from round to round, how often in a row a service must have failed to be
# restarted (None: never), and how often at most. docs/monitoring.md. With `monitoring` what is usual is
# learnt for a day after each release: "baseline": {"hours": 24, "samples": 100}. docs/baselines.md.
health = None

# Prometheus with its exporters, alerts and Alertmanager, all on 127.0.0.1: None, or {"server": True}, to
# which "webhook": {"source": "environment", "variable": "ALERTS_URL"} adds who is told. It stands on
# `health`, which then is looked at every 60 s where nothing else is said. One Prometheus for many hosts:
# "targets" there, "listen" and "asked_by" on the others, which the inventory knows; docs/monitoring.md.
monitoring = None

# --- The apps ----------------------------------------------------------------------------------------------
# An app's key names its files: /opt/rec_io, /etc/rec_io, /run/rec_io, rec_io.service, rec_io-restart.

apps = {
    "rec_io": {
        # The code on this machine, relative to the project or absolute, and its hashed requirements.
        "source": "examples/rec_io",
        "requirements": "requirements.txt",
        # The service user that runs everything; it owns the shared directories and nothing else.
        "user": "trader",
        # What a host must have before anything on it is touched.
        "minimum": {"cpus": 1, "memory": "1G", "disk": "5G"},
        # Directories that outlive releases. `log_directory` is the one that logrotate rotates.
        "shared": [
            "logs",
            "backend/data",
            "backend/data/live_data",
            "backend/data/users",
            "backend/data/trade_history",
        ],
        "log_directory": "logs",
        # Shared directories whose newest file may be at most this many seconds old; a gate, and acceptance.
        "produces": {"backend/data/live_data": 60},
        # What must hold after each change, or it is undone, beside what follows from the rest: that services
        # run, `health`, `page_contains`, `database`, `produces`. docs/gates.md has all kinds.
        "gates": [{"kind": "log", "pattern": r"^\S+ (ERROR|CRITICAL) |^Traceback"}],
        # Until when each must have passed: twelve services that start at once on a busy machine take a while.
        "gate_seconds": 60,
        "gate_stays": 3,  # seconds that services must stay up without a restart
        "logs": {"keep": 7},  # rotated files, one a day
        "keep_releases": 4,  # beside the current one
        # The app's database and role, which reads and writes rows and no more; `password` names the secret.
        # `owner` (rec_io_db_owner), whose password is generated, has the tables and is used for migrations
        # alone; `reader` (rec_io_db_reader) may read them. docs/roles.md.
        "database": {
            "database": "rec_io_db",
            "role": "rec_io_user",
            "password": "db_password",
            "reader_password": "db_reader_password",  # without it the reader is there for members of it
            "also": [],  # what the app needs besides: "TEMPORARY", "TRUNCATE", "REFERENCES", "TRIGGER"
            "extensions": [],
            "connection_limit": 80,
            # A pgbouncer of its own, on 127.0.0.1; migrations, gates and backups go to the server itself.
            "pool": {"port": 6432, "mode": "session", "size": 40, "clients": 200},
            # Made beside all that goes on where they are missing: docs/database.md.
            "indexes": [{"table": "trades", "columns": ["ticker", "created_at"]}],
            # When a row of a table was made, so that restore.py can say what would be lost. An app that also
            # has `wipe_when`, SQL that is true while its data may be emptied, can be by wipe.py.
            "time_columns": {"trades": "created_at", "trade_event": "at"},
        },
        # A backup of the database every day, proven by a restore every week; None for none. Copies leave the
        # host encrypted for public keys of age: "age_recipients": ["age1..."], "copy": {"kind": "rsync",
        # "to": "backup@203.0.113.9:rec_io"}; docs/backups.md. `checks` are SELECTs that must give
        # true when it is proven.
        "backup": {
            "at": "03:30",
            "prove": "Sun 04:30",
            "daily": 7,
            "weekly": 4,
            "monthly": 3,
            "checks": ["SELECT count(*) > 0 FROM schema_migrations"],
        },
        # Applies pending migrations, before the release becomes the current one.
        "migrate": "python -m backend.migrate",
        # What it gets over the `variables` below, in a file that the services never see: the owner's role,
        # and the server itself, where all else goes to the pool.
        "migrate_variables": {
            "REC_DB_PORT": 5432,
            "REC_DB_USER": "rec_io_db_owner",
            "REC_DB_PASS": {"secret": "db_owner_password"},
        },
        # Where they are, so that it is known what is pending: then the database is dumped first. An app
        # without `migrate` has hostwright apply them: docs/migrations.md.
        "migrations": "migrations",
        # Secrets: "generated" on the host once; or {"source": "environment", "variable": "REC_DB_PASSWORD"};
        # or {"source": "age", "file": "secrets/staging.age", "key": "db_password"}.
        "secrets": {
            "db_password": {"source": "generated", "length": 40},
            "db_reader_password": {"source": "generated", "length": 40},
        },
        # Environment variables of all services, written to /etc/rec_io/env, 0600.
        # They and the app's .env.example must name the same variables.
        "prefix": "REC_",
        "env_example": ".env.example",
        "variables": {
            "REC_BIND_HOST": "0.0.0.0",
            "REC_TARGET_HOST": "127.0.0.1",
            "REC_MAIN_PORT": 3000,
            "REC_TRADE_MANAGER_PORT": 4000,
            "REC_TRADE_EXECUTOR_PORT": 8001,
            "REC_ACTIVE_TRADE_SUPERVISOR_PORT": 8007,
            "REC_DB_HOST": "127.0.0.1",
            "REC_DB_PORT": 6432,  # the pool
            "REC_DB_NAME": "rec_io_db",
            "REC_DB_USER": "rec_io_user",
            "REC_DB_PASS": {"secret": "db_password"},
            "REC_DB_SSLMODE": "prefer",
            "REC_ACCOUNT_MODE": "demo",
            "REC_CREDENTIALS_PATH": "/etc/rec_io/credentials",
            "REC_LOG_DIR": "/opt/rec_io/shared/logs",
            "REC_DATA_DIR": "/opt/rec_io/shared/backend/data",
            "REC_CONFIG_DIR": "/etc/rec_io",
        },
        # Files made once in /etc/rec_io, by the first deploy or by init.py, and never written again.
        "config_files": {"config.local.json": "{}\n"},
        # What else is configuration that only a run may change, beside /etc/rec_io and the units.
        "watched": [],
        # What all services use: a change of it restarts them all.
        "common_files": ["backend/*.py", "backend/services/__init__.py", "config.default.json"],
        # One supervised process each. The first word of `command` is a program of the virtual environment.
        # `public` opens the port; the others answer on this host alone. `variables` are of one service alone.
        # `files` are those whose change restarts it, with the `common_files` of all; without, every change of
        # the source does. `*` stays within a directory, a directory stands for all in it.
        "services": {
            "main_app": {
                "command": "python -m backend main_app",
                "port": 3000,
                "public": True,
                "health": "/health",
                "page_contains": "REC.IO",
                "files": ["backend/services/main_app.py", "backend/static"],
            },
            "trade_manager": {
                "command": "python -m backend trade_manager",
                "port": 4000,
                "health": "/health",
                "files": ["backend/services/trade_manager.py"],
            },
            "trade_executor": {
                "command": "python -m backend trade_executor",
                "port": 8001,
                "health": "/health",
                "files": ["backend/services/trade_executor.py", "backend/services/_tables.py"],
            },
            "active_trade_supervisor": {
                "command": "python -m backend active_trade_supervisor",
                "port": 8007,
                "health": "/health",
                "files": ["backend/services/active_trade_supervisor.py", "backend/services/_tables.py"],
            },
            "unified_production_coordinator": {
                "command": "python -m backend unified_production_coordinator",
                "files": [
                    "backend/services/unified_production_coordinator.py",
                    "backend/services/_tables.py",
                ],
            },
            "kalshi_account_sync": {
                "command": "python -m backend kalshi_account_sync",
                "files": ["backend/services/kalshi_account_sync.py", "backend/services/_tables.py"],
            },
            "kalshi_api_watchdog": {
                "command": "python -m backend kalshi_api_watchdog",
                "files": ["backend/services/kalshi_api_watchdog.py", "backend/services/_tables.py"],
            },
            "cascading_failure_detector": {
                "command": "python -m backend cascading_failure_detector",
                "files": ["backend/services/cascading_failure_detector.py"],
            },
            "symbol_price_feed": {
                "command": "python -m backend symbol_price_feed",
                "files": ["backend/services/symbol_price_feed.py", "backend/services/_tables.py"],
            },
            "strike_table_generator": {
                "command": "python -m backend strike_table_generator",
                "files": ["backend/services/strike_table_generator.py", "backend/services/_tables.py"],
            },
            "trade_history_archiver": {
                "command": "python -m backend trade_history_archiver",
                "files": ["backend/services/trade_history_archiver.py"],
            },
            "live_data_writer": {
                "command": "python -m backend live_data_writer",
                "files": ["backend/services/live_data_writer.py", "backend/services/_tables.py"],
            },
        },
    },
}
