"""
Show what costs time in the apps' databases: slow statements, tables read whole, indexes that nobody uses.

    pyinfra inventories/staging.py queries.py
    pyinfra inventories/staging.py queries.py --data lines=30

Changes nothing, and shows no value of any statement.
"""

from pyinfra import host

import guard
from tasks import queries

queries.show(host, guard.settings_of(host))
