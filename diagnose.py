"""
Look at every host of an inventory for a few seconds: services, processes, logs, database, backups, and what
is about to go wrong. Changes nothing on a host, and asks no question.

    pyinfra inventories/staging.py diagnose.py
    pyinfra inventories/staging.py diagnose.py --data sample=10

    pyinfra inventories/staging.py diagnose.py --json

What was found is shown, and kept on this machine as JSON (docs/diagnostics.md); `python -m diagnostics
compare` tells what has changed since the last time. Exits with 1 where a host could not be asked.
"""

from pyinfra import host

import guard
from tasks import diagnose

diagnose.show(host, guard.settings_of(host), as_json=guard.as_json())
