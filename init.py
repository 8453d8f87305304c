"""
Create the configuration files that an app's `config_files` declare and a host does not have.

    pyinfra inventories/staging.py init.py

One that is there stays as it is, whatever is in it. The first deploy of an app does this by itself; on a host
that runs the app already it takes this step, so that nobody's local configuration is ever replaced unasked.
"""

from pyinfra import host, inventory

import guard
from tasks import config_guard, places, trial

settings = guard.settings_of(host)
guard.some_app("config_files", [guard.settings_of(one) for one in inventory])

trial.begin(host, settings, {}, verb=guard.verb(), project=guard.PROJECT)
for app in host.loop(settings.all_apps()):
    places.initialise(app=app)
config_guard.accept(settings=settings)
trial.confirm()
