"""
Hosts of the group "portfolio": they run portfolio_manager instead of the apps of all.py.

A host joins a group by `groups: [portfolio]` in the inventory's YAML file, or `python -m lab up NAME --group
portfolio`. For a host that runs this app and rec_io see both.py.
"""

apps = {
    "portfolio_manager": {
        "source": "examples/portfolio",
        "user": "portfolio",
        # Each service is a systemd unit: portfolio_manager.service. Its log is in the journal.
        "process_manager": "systemd",
        "shared": [],
        "keep_releases": 4,
        # portfolio_manager_owner makes the tables, and portfolio_manager_reader may read them.
        "database": {
            "database": "portfolio_manager",
            "role": "portfolio_user",
            "password": "db_password",
            "connection_limit": 20,
            # Tables that must be there; acceptance looks.
            "tables": ["portfolio_state", "portfolio_positions", "instance_heartbeat", "leadership_history"],
            # When a row was made, so that restore.py can say what would be lost.
            "time_columns": {"portfolio_positions": "opened_at"},
            # For wipe.py: no position may be open.
            "wipe_when": "SELECT count(*) = 0 FROM portfolio_positions WHERE closed_at IS NULL",
        },
        # Ordered SQL files, applied before the release becomes the current one.
        "migrations": "migrations",
        "secrets": {"db_password": {"source": "generated", "length": 40}},
        "prefix": "PM_",
        "env_example": ".env.example",
        "variables": {
            "PM_CONFIG": "/etc/portfolio_manager/database_config.json",
            "PM_MAINTENANCE_FLAG": "/opt/portfolio_manager/shared/maintenance",
            "PM_BIND_HOST": "127.0.0.1",
            "PM_PORT": 5100,
        },
        # JSON files in /etc/portfolio_manager, 0600 and the service user's, with the same keys as `example`.
        "secret_files": {
            "database_config.json": {
                "example": "database_config.example.json",
                "content": {
                    "host": "127.0.0.1",
                    "port": 5432,
                    "database": "portfolio_manager",
                    "user": "portfolio_user",
                    "password": {"secret": "db_password"},
                },
            },
        },
        # Before another release: new signals get 503 while this file is there, those in flight end first. To
        # wait until all positions are closed as well, add "positions": 0.
        "maintenance": {
            "flag": "maintenance",
            "drained": [
                {"kind": "http", "path": "/health", "json_has": {"maintenance": True, "in_flight": 0}}
            ],
            "seconds": 30,
        },
        # For drill.py: what must be as it was after a restart and a kill -9, and how fast.
        "drill": {
            "equal": ["positions", "risk_percent", "equity"],
            "query": "SELECT count(*) FROM portfolio_positions WHERE closed_at IS NULL",
            "counted": "positions",
            "recovery": "Recovery successful: loaded [0-9]+ positions in (?P<ms>[0-9]+)ms",
            "milliseconds": 100,
        },
        # What must hold after a change, or it is undone.
        "gates": [{"kind": "log", "pattern": " ERROR | CRITICAL |Traceback"}],
        "services": {
            "portfolio_manager": {
                "command": "python -m portfolio_manager",
                "port": 5100,
                "health": "/health",
                "gates": [
                    {
                        "kind": "http",
                        "path": "/health",
                        "json_has": {"status": "healthy", "database": "ok", "maintenance": False},
                    },
                ],
                # Signals in flight end first; the app itself waits for up to 25 s.
                "stop_seconds": 30,
                # Documents and migrations restart nothing.
                "files": ["portfolio_manager"],
            },
        },
    },
}
