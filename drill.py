"""
Prove that what must survive a crash does: restart it, kill it, and compare.

    pyinfra inventories/staging.py drill.py

Each app with a `drill` in group_data/ is interrupted twice, for as long as it takes to start.
"""

from pyinfra import host, inventory

import guard
from tasks import drill, trial

settings = guard.settings_of(host)
guard.some_app("drill", [guard.settings_of(one) for one in inventory])

trial.begin(host, settings, {}, verb=guard.verb(), project=guard.PROJECT)
for app in host.loop(settings.all_apps()):
    drill.crash(app=app, database_port=settings.postgresql.port)
trial.confirm()
