"""
Put a backup in the place of an app's database, named explicitly, or a dump from elsewhere.

    pyinfra inventories/staging.py restore.py --data app=rec_io --data from=20261125T220000Z
    pyinfra inventories/staging.py restore.py --data app=rec_io --data from=newest
    pyinfra inventories/staging.py restore.py --data app=rec_io --data from=/home/me/rec_io.dump
    pyinfra inventories/staging.py restore.py --data app=rec_io --data from=COPY.tar.age --data identity=KEY
    pyinfra inventories/staging.py restore.py --data app=rec_io --data prune=NAME

It is filled beside the live one, compared, and only then put in its place, on trial like any change: where a
gate fails, or this program or the host dies, the live one is back. What was replaced is kept under a dated
NAME until it is pruned; history.py shows which there are.
"""

from pyinfra import host

import guard
from tasks import gates, maintenance, restore, restore_plan, trial

settings = guard.settings_of(host)

if host.data.get("prune"):
    _, database = restore_plan.one(settings, host.data.get("app"))
    trial.begin(host, settings, {}, verb=guard.verb(), project=guard.PROJECT)
    kept = str(host.data.get("prune"))
    restore.prune(database=database, kept=kept, cluster=settings.postgresql.cluster)
    trial.confirm()
else:
    # Nothing is touched before all of this has passed.
    found = restore_plan.wanted(host, settings)
    restore.bring(found=found)

    trial.begin(host, settings, {}, verb=guard.verb(), project=guard.PROJECT)
    restore.load(found=found)
    maintenance.enter(app=found.app, release="", drain=host.data.get("drain") != "no")
    restore.switch(found=found)
    maintenance.leave(app=found.app)
    gates.check(app=found.app)
    trial.confirm()
    restore.tidy(found=found)
