"""
Create the configuration files that an app's `config_files` declare and a host does not have.

    pyinfra inventories/staging.py init.py

One that is there stays as it is, whatever is in it. The first deploy of an app does this by itself; on a host
that runs the app already it takes this step, so that nobody's local configuration is ever replaced unasked.
"""

from pyinfra import host, inventory
from pyinfra.api.operation import OperationMeta
from pyinfra.operations.util import any_changed

import guard
from tasks import config_guard, places, trial

settings = guard.settings_of(host)
guard.some_app("config_files", [guard.settings_of(one) for one in inventory])

trial.begin(host, settings, {}, verb=guard.verb(), project=guard.PROJECT)
made: list[OperationMeta] = []
for app in host.loop(settings.all_apps()):
    made += places.initialise(app=app)  # type: ignore[arg-type]  # pyinfra types it as what an operation returns
# Where nothing was made, what somebody has changed by hand stays theirs to answer for.
config_guard.accept(settings=settings, _if=any_changed(*made))
trial.confirm()
