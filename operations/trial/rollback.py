"""Go back to a good release: its code, its services' configuration, and the host files of its time."""

from __future__ import annotations

from collections.abc import Callable, Generator

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.release import Releases
from facts.script import script
from facts.trial import History
from operations.trial import handler
from operations.trial.back import NoWayBackError, target, way
from operations.trial.commands import script_of_trial
from operations.trial.touched import HOST

SNAPSHOTS = "/var/lib/hostwright/snapshots"


@operation()
def rolled_back(
    app: str,
    app_dir: str,
    *,
    to: str | None = None,
    refusal: Callable[[str], str | None] | None = None,
    restart: StringCommand | None = None,
) -> Generator[StringCommand, None, None]:
    """
    Put an app back to an earlier good release, on trial as any other change.

    Code, service configuration and host files go back as the snapshot has them that was made before that
    release was replaced; the host files only where no other run has changed the host since. Data stays.

    + app: name of the app
    + app_dir: its directory, such as "/opt/rec_io"
    + to: release by id or its beginning, default the good one before the current
    + refusal: asked with the release; returns why it cannot be gone back to, with the way out, or None
    + restart: makes the services run the release where its snapshot was pruned, default none

    Never goes back to a release that is bad or was never confirmed.

    Raises OperationError where there is no release to go back to.

    Example: `trial.rolled_back(name="Go back", app="rec_io", app_dir="/opt/rec_io")`
    """
    state = host.get_fact(Releases, app_dir=app_dir)
    history = host.get_fact(History, lines=200)
    current = state["current"]
    try:
        release = target(history, app, current, state["releases"], to)
    except NoWayBackError as error:
        raise OperationError(str(error)) from None
    if release == current:
        host.noop(f"{app} is already at release {release}")
        return
    problem = refusal(release) if refusal is not None else None
    if problem is not None:
        raise OperationError(f"{app}: {problem}")
    about = history["releases"].get(app, {}).get(release, {})
    run = handler.run_of(host)
    run.releases[app] = {**about, "release": release}
    run.left[app] = current or ""
    found = way(history, app, release)
    if found is not None:
        snapshot, whole = found
        # Never the other apps of the host, whatever the snapshot has of them.
        yield script_of_trial("restore", f"{SNAPSHOTS}/{snapshot}", app, *([HOST] if whole else []))
    if found is None or not found[1]:
        # Also after a snapshot of the app alone, whose link it then is already.
        yield script("release-current.py", app_dir, release)
        if restart is not None:
            yield restart
