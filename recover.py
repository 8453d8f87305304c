"""
Recover the database server as it was at a moment, beside the one that runs, which is not touched.

    pyinfra inventories/do.py recover.py --data to='2026-01-31 12:00:00+00:00'
    pyinfra inventories/do.py recover.py --data to='2026-01-31 12:00:00+00:00' --data stanza=main
    pyinfra inventories/do.py recover.py --data end=1

With `stanza` it is a server that is gone, out of the repository that its host and this one share.

It says how to take rows from it, and where it is. It takes no lock and has no trial: nothing that a deploy
declares is changed.
"""

from pyinfra import host

import guard
from tasks import recovery

settings = guard.settings_of(host)

if host.data.get("end"):
    recovery.end(settings=settings)
else:
    recovery.begin(settings=settings, to=recovery.asked(host), stanza=host.data.get("stanza"))
