"""
Empty an app's data, where the app's own condition says that it may be: no open positions, for one.

    pyinfra inventories/staging.py wipe.py --data app=portfolio_manager

A fresh database with the release's migrations takes the place of the live one, on trial like any change. What
was replaced is kept under a dated name until `restore.py --data prune=NAME`.
"""

from pyinfra import host

import guard
from tasks import gates, maintenance, restore, restore_plan, trial

settings = guard.settings_of(host)
found = restore_plan.emptied(host, settings)

trial.begin(host, settings, {}, verb=guard.verb(), project=guard.PROJECT)
restore.load(found=found)
maintenance.enter(app=found.app, release="", drain=host.data.get("drain") != "no")
restore.switch(found=found)
maintenance.leave(app=found.app)
gates.check(app=found.app)
trial.confirm()
