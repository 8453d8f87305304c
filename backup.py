"""
Make a backup of each app's database now; or prove the newest; or list them.

    pyinfra inventories/staging.py backup.py
    pyinfra inventories/staging.py backup.py --data list=1
    pyinfra inventories/staging.py backup.py --data prove=1

It takes no lock of the host and has no trial: it changes nothing that a deploy declares, a dump sees one
moment of the database whatever else goes on, and at night a rollback must not wait for it. Only one program
at a time works on the backups of one app.
"""

from pyinfra import host, inventory

import guard
from tasks import backups

settings = guard.settings_of(host)
guard.some_app("backed_up", [guard.settings_of(one) for one in inventory])

if host.data.get("list"):
    backups.show(host, settings)
else:
    for app in host.loop(settings.all_apps()):
        backups.now(app=app, verb="prove" if host.data.get("prove") else "make")
