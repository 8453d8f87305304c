"""Back to an earlier release, by hand."""

from __future__ import annotations

from functools import partial

from pyinfra import host
from pyinfra.api.deploy import deploy

from facts.migrations import Migrations
from facts.release import Releases
from facts.script import script
from facts.trial import History
from operations import schema, trial
from operations.trial.rollback import SNAPSHOTS
from settings import Settings
from settings.app import App
from tasks.trial import update_command


def chosen(settings: Settings, app: object) -> list[App]:
    """
    Return the apps that go back.

    + settings: of the host
    + app: name of the app, None for the host's only one

    Raises trial.TrialError where it is not clear which app is meant.
    """
    apps = settings.all_apps()
    names = ", ".join(one.key for one in apps)
    if app is None and len(apps) == 1:
        return apps
    if app is None:
        raise trial.TrialError(f"which app goes back? say --data app=NAME; there are: {names}")
    found = [one for one in apps if one.key == app]
    if not found:
        raise trial.TrialError(f"there is no app {app!r}; there are: {names}")
    return found


@deploy("Go back")
def back(app: App, to: object, cluster: str | None = None) -> None:
    """One app, to the good release before the current one, or to one by id."""
    trial.rolled_back(
        name=f"Put {app.key} back to {f'release {to}' if to else 'the good release before'}",
        app=app.key,
        app_dir=app.root,
        to=str(to) if to else None,
        refusal=partial(_refusal, app, cluster),
        restart=script(*update_command(app)),
    )


def _refusal(app: App, cluster: str | None, release: str) -> str | None:
    """Return why a release cannot live with the database as it is, with the way out."""
    if app.database is None:
        return None
    releases = host.get_fact(Releases, app_dir=app.root)["releases"]
    stated = {name: one["about"]["schema"] if one["about"] else None for name, one in releases.items()}
    if not any(stated.values()):
        return None
    ledger = [
        row["name"] for row in host.get_fact(Migrations, database=app.database.database, cluster=cluster)
    ]
    names = schema.can_live_with(stated.get(release), ledger, schema.breaking(stated.values()))
    if not names:
        return None
    snapshots = host.get_fact(History)["snapshots"]
    dumps = [f"{SNAPSHOTS}/{one['run']}/dumps/{app.key}" for one in snapshots if app.key in one["dumps"]]
    return schema.cannot_go_back(release, names, dumps[-1] if dumps else None)
