"""
PostgreSQL 13 to 17, as Debian and Ubuntu package it: server, access, roles, databases, privileges.

    from operations import postgres

    postgres.running()
    postgres.role("app", password_file="/etc/app/database-password")
    postgres.database("app_db", owner="app")
    postgres.hba(postgres.loopback("app_db", "app"))

`postgres.app` makes an app's database with an owner, a role for the app and one that only reads, in one go.

Every operation takes `cluster="15/main"` where a host has more than one.
"""

from operations.postgres.access import Row, hba, loopback
from operations.postgres.app import app
from operations.postgres.databases import database, schema
from operations.postgres.extensions import extension
from operations.postgres.grants import privileges
from operations.postgres.indexes import Index, indexes
from operations.postgres.roles import role
from operations.postgres.server import running, settings, starting

__all__ = [
    "Index", "Row", "app", "database", "extension", "hba", "indexes", "loopback", "privileges", "role",
    "running", "schema", "settings", "starting",
]  # fmt: skip
