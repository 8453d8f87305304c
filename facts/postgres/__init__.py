"""
What `operations/postgres/` reads from a host's PostgreSQL, for 13 to 17.

Each fact is one round trip. Where PostgreSQL or Python is not installed, its cluster is down, or there are
several clusters and none was named, each is None: the operations then plan the full change, and their
commands say what is wrong where it still is.
"""

from facts.postgres.app import App
from facts.postgres.databases import Database, Extension, Privileges, Schema
from facts.postgres.indexes import Indexes
from facts.postgres.queries import Queries
from facts.postgres.roles import Role
from facts.postgres.server import Hba, Running, Settings

__all__ = [
    "App", "Database", "Extension", "Hba", "Indexes", "Privileges", "Queries", "Role", "Running", "Schema",
    "Settings",
]  # fmt: skip
