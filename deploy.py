"""
Take every host of an inventory to its declared state.

    pyinfra inventories/staging.py deploy.py

What is declared is in group_data/; a second run changes nothing. What changes is on trial: the host records
itself first, and goes back by itself unless every gate passes and a new login confirms.
"""

from pyinfra import host

import guard
from tasks import (
    backups,
    config_guard,
    database,
    gates,
    health,
    machine,
    maintenance,
    monitoring,
    places,
    pool,
    preflight,
    release,
    services,
    trial,
)

settings = guard.settings_of(host)
made = {app.key: guard.release_plan(app, settings) for app in settings.all_apps()}

preflight.check(host, settings, made)
machine.python()
trial.begin(host, settings, made, verb=guard.verb(), project=guard.PROJECT, proof=guard.proof_of(host))

# The machine.
machine.install(settings=settings)
database.start(settings=settings)
machine.login(settings=settings, user=host.data.get("ssh_user") or "root")
machine.close(settings=settings)
machine.swap_file(settings=settings)

# The database server that all apps of the host share.
database.server(settings=settings, project=guard.PROJECT)

# Who changes an app's configuration from here on, other than a run.
config_guard.watch(settings=settings)

# Each app: what it may read and write, its database, its release, and its services.
for app in host.loop(settings.all_apps()):
    places.make(app=app)
    places.initialise(app=app)
    places.keep_secrets(app=app, project=guard.PROJECT)
    database.apply(app=app, settings=settings.postgresql)
    pool.keep(app=app, settings=settings)
    release.apply(app=app, made=made[app.key], cluster=settings.postgresql.cluster)
    services.apply(app=app)
    services.logs(app=app)
    maintenance.leave(app=app)

backups.schedule(settings=settings)

# Who looks at it from now on: people, the host itself, and Prometheus.
health.look()
health.watch(settings=settings)
monitoring.watch(settings=settings, project=guard.PROJECT)

# What all of it must be able to do, and the end of the trial.
for app in host.loop(settings.all_apps()):
    gates.check(app=app)
config_guard.accept(settings=settings)
trial.confirm()
backups.first(settings=settings)

for app in host.loop(settings.all_apps()):
    release.prune(app=app)
monitoring.tidy(settings=settings)
