"""
Show what a host remembers: its last runs, its releases, its snapshots, and who is at work.

    pyinfra inventories/staging.py history.py
    pyinfra inventories/staging.py history.py --data run=20260131T120000Z-3f9c2a

Changes nothing.
"""

from pyinfra import host

from tasks import history

history.show(host)
