"""
Take every host of an inventory to its declared state.

    pyinfra inventories/staging.py deploy.py

What is declared is in group_data/; a second run changes nothing.
"""

from pyinfra import host

import guard
from tasks import database, machine, release, services

settings = guard.settings_of(host)

# The machine.
machine.install(settings=settings)
machine.login(settings=settings, user=host.data.get("ssh_user") or "root")
machine.close(settings=settings)
machine.swap_file(settings=settings)

# The database server that all apps of the host share.
database.server(settings=settings)

# Each app: what it may read and write, its database, its release, and its services.
for app in host.loop(settings.all_apps()):
    made = release.plan(app, guard.PROJECT)
    release.places(app=app)
    release.keep_secrets(app=app, project=guard.PROJECT)
    database.apply(app=app, cluster=settings.postgresql.cluster)
    release.apply(app=app, made=made)
    services.apply(app=app)
    services.logs(app=app)
    release.prune(app=app)
