"""Which release a rollback goes to, and by which snapshot: pure functions."""

from __future__ import annotations

from collections.abc import Collection

from facts.trial import HistoryFields


class NoWayBackError(Exception):
    """There is no release to go back to; the text says why and what to do."""


def target(
    history: HistoryFields, app: str, current: str | None, present: Collection[str], wanted: str | None
) -> str:
    """
    Return the release that a rollback of an app goes to.

    + history: of the host
    + app: its name
    + current: its current release
    + present: its releases that are on the host
    + wanted: a release by id or by the beginning of it, None for the good one before the current

    Raises NoWayBackError.
    """
    known = history["releases"].get(app, {})
    good = sorted(
        (name for name, about in known.items() if about["state"] == "good" and name in present),
        key=lambda name: float(known[name]["at"]),
    )
    if wanted is None:
        earlier = good[: good.index(current)] if current in good else [one for one in good if one != current]
        if not earlier:
            raise NoWayBackError(f"{app}: there is no good release before {current}; deploy a mended one")
        return earlier[-1]
    matching = sorted(name for name in present if name.startswith(wanted))
    offer = f"there are: {', '.join(good) or 'none'}"
    if len(matching) != 1:
        found = "several releases begin with it" if matching else "it is not on the host"
        raise NoWayBackError(f"{app}: release {wanted!r}: {found}; good ones {offer}")
    state = known.get(matching[0], {}).get("state")
    if state not in ("good", "left"):
        why = known.get(matching[0], {}).get("why") or "it was never confirmed"
        raise NoWayBackError(f"{app}: release {matching[0]} is not good: {why}; good ones {offer}")
    return matching[0]


def way(history: HistoryFields, app: str, release: str) -> tuple[str, bool] | None:
    """
    Return the snapshot that brings a release back, and whether it brings back the host's own files too.

    That is the newest one that was made while the release was the app's current one; None where it was
    pruned. The host's own go back only where no later run changed it: else others' changes would go too.
    """
    found = [one for one in history["snapshots"] if one["current"].get(app) == release]
    if not found:
        return None
    stayed = [run["id"] for run in history["runs"] if run["outcome"] in ("confirmed", "rolled back")]
    return found[-1]["run"], bool(stayed) and stayed[-1] == found[-1]["run"]
