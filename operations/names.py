"""An app's names on a host: refused where a package, a unit or a person has them already."""

from __future__ import annotations

from collections.abc import Generator

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.names import Taken


@operation()
def free(app: str, *, user: str, home: str) -> Generator[StringCommand, None, None]:
    """
    Stop before anything is written where an app's unit, files or user belong to somebody else.

    A package's directory below /etc would change hands, a person's account would lose its shell.

    + app: name of the app; its unit, /etc/<app>, /opt/<app> and /etc/logrotate.d/<app> are named after it
    + user: its service user
    + home: home of that user, by which ours is known from another

    Changes nothing, ever.

    Raises OperationError naming what is taken.

    Example: `names.free(app="shop", user="shop", home="/opt/shop")`
    """
    taken = host.get_fact(Taken, app=app, user=user, home=home)
    if taken:
        raise OperationError(f"app {app!r}: {'; '.join(taken)}; choose another name for the app or its user")
    host.noop(f"{app} and {user} are free or ours")
    yield from ()
