"""
Go back to the release that worked before, or to one by id, with the services' configuration of its time.

    pyinfra inventories/staging.py rollback.py
    pyinfra inventories/staging.py rollback.py --data app=rec_io --data to=3f9c2a71

The way back is on trial like any change: the gates are run on what is restored, and where they fail the host
returns to where it was. Data does not go back. The next deploy.py takes the host to what is declared again.
"""

from pyinfra import host

import guard
from tasks import config_guard, gates, maintenance, rollback, trial

settings = guard.settings_of(host)
chosen = rollback.chosen(settings, host.data.get("app"))

trial.begin(host, settings, {}, verb=guard.verb(), project=guard.PROJECT)
for app in host.loop(chosen):
    maintenance.enter(app=app, release="", drain=host.data.get("drain") != "no")
    rollback.back(app=app, to=host.data.get("to"), cluster=settings.postgresql.cluster)
    maintenance.leave(app=app)
for app in host.loop(chosen):
    gates.check(app=app)
# What came back may be of a time before there was a guard.
config_guard.watch(settings=settings)
config_guard.accept(settings=settings)
trial.confirm()
