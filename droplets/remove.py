"""Who may destroy a droplet: nobody by a slip, and production only by typing its name."""

from __future__ import annotations

from collections.abc import Callable

from droplets.droplet import Droplet
from droplets.errors import DropletsError

Ask = Callable[[str], str]


def allowed(droplet: Droplet, *, production: bool, yes: bool, confirm: str | None, ask: Ask | None) -> None:
    """
    Return where the droplet may be destroyed; raise DropletsError otherwise.

    + production: whether people depend on it: then only its name counts, typed or as `confirm`
    + yes: whether the question of other environments is answered already
    + confirm: name that was given on the command line, default None
    + ask: asks a question and returns the answer; None where nobody is there to answer
    """
    what = (
        f"droplet {droplet.name} (id {droplet.number}, {droplet.public or droplet.private or 'no address'})"
    )
    if confirm is not None and confirm != droplet.name:
        raise DropletsError(
            f"--confirm is {confirm!r}, and the droplet is called {droplet.name}; nothing was done"
        )
    if confirm == droplet.name or (yes and not production):
        return
    if ask is None:
        remedy = f"--confirm {droplet.name}" + ("" if production else ", or --yes")
        kind = "production's and goes with its data" if production else "about to be destroyed with its data"
        raise DropletsError(f"{what} is {kind}: say {remedy}; nothing was done")
    if production:
        typed = ask(f"{what} is PRODUCTION'S and goes with its data. Type its name to destroy it: ")
        if typed.strip() != droplet.name:
            raise DropletsError("that is not its name; nothing was done")
    elif ask(f"Destroy {what} with its data? [y/N] ").strip().lower() not in ("y", "yes"):
        raise DropletsError("nothing was done")
