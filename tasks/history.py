"""What a host remembers of its runs, for people."""

from __future__ import annotations

import time
from typing import Any

import click
from pyinfra.api.host import Host

from facts.restore import Kept, KeptDatabases
from facts.trial import History, HistoryFields

LINES = 15
# Of one run, beside its line.
SHOWN = ("commit", "receipt", "without_receipt", "by", "undo_seconds")


def show(host: Host) -> None:
    """Print a host's memory, or with `--data run=ID` all of one run."""
    wanted = host.data.get("run")
    found = host.get_fact(History, lines=1000 if wanted else LINES)
    lines = one(found, str(wanted)) if wanted else overview(found) + kept(host.get_fact(KeptDatabases))
    click.echo("\n".join([click.style(host.name, bold=True), *(f"  {line}" for line in lines), ""]))


def when(seconds: float | None) -> str:
    """Return a time in UTC, to the second."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds)) if seconds is not None else "-"


def overview(found: HistoryFields) -> list[str]:
    """Return the lines of all that a host remembers."""
    lock, trial = found["lock"], found["trial"]
    lines = []
    if lock:
        lines.append(f"at work: {lock['owner']} with {lock['purpose']} since {lock['since']}")
    if trial is not None:
        lines.append(f"on trial: run {trial['run']['id']}; the host undoes it unless it is confirmed")
    lines.append("runs (UTC):" if found["runs"] else "no runs yet")
    lines += [f"  {line(run)}" for run in found["runs"]]
    for app, releases in sorted(found["releases"].items()):
        lines.append(f"releases of {app}:")
        newest = sorted(releases.items(), key=lambda item: float(item[1]["at"]))
        lines += [
            f"  {name}  {about['state']:7}  since {when(about['at'])}  {about.get('why', '')}".rstrip()
            for name, about in newest
        ]
    if found["snapshots"]:
        lines.append("snapshots, each from before its run's first change:")
    for snapshot in found["snapshots"]:
        current = ", ".join(f"{app} {release}" for app, release in snapshot["current"].items())
        dumps = f", dump of {', '.join(snapshot['dumps'])}" if snapshot["dumps"] else ""
        size = f"{snapshot['files']} files, {snapshot['bytes'] / 2**20:.1f} MiB{dumps}"
        lines.append(f"  {snapshot['run']}  {size}; current: {current}")
    return lines


def kept(databases: list[Kept]) -> list[str]:
    """Return the lines of what restores and wipes have left; nobody else drops it."""
    if not databases:
        return []
    lines = [f"  {one['database']}  {one['bytes'] / 2**20:.1f} MiB" for one in databases]
    return ["databases that were kept; drop one with restore.py --data prune=NAME:", *lines]


def line(run: dict[str, Any]) -> str:
    """Return one run in one line."""
    seconds = float(run["ended"]) - float(run["began"])
    releases = ", ".join(f"{app} {about['release']}" for app, about in run["releases"].items())
    who = f"{run['id']}  {when(run['began'])}  {run['owner']}  {run['purpose']}"
    text = f"{who}: {run['outcome']} in {seconds:.0f} s"
    return text + (f", {releases}" if releases else "") + (f" ({run['reason']})" if run.get("reason") else "")


def one(found: HistoryFields, wanted: str) -> list[str]:
    """Return all that is known of one run."""
    runs = [run for run in found["runs"] if run["id"].startswith(wanted)]
    if not runs:
        return [f"no run begins with {wanted!r}; without --data run=... the last ones are shown"]
    lines = []
    for run in runs:
        lines.append(line(run))
        lines += [f"  {key}: {run[key]}" for key in SHOWN if run.get(key)]
        lines += [f"  {app}: digest {about.get('digest')}" for app, about in run["releases"].items()]
        lines += [f"  undone: {one}" for one in run.get("undone", [])]
        lines += [f"  failed: {one}" for one in run.get("failed", [])]
        lines += [
            f"  snapshot: /var/lib/hostwright/snapshots/{snapshot['run']} ({snapshot['files']} files)"
            for snapshot in found["snapshots"]
            if snapshot["run"] == run["id"]
        ]
    return lines
