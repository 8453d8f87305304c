# What a host keeps in writing: backups with their last proof, and the ledger of its runs.
import json
import os

from diagnose_common import printable, read

LEDGER = "/var/log/hostwright/ledger.jsonl"
RUNS = 5


def backups_of(app):
    """Return an app's newest backup, how the last attempt went, its last proof; None without backups."""
    if app["backups"] is None or not os.path.isdir(app["backups"]):
        return None
    state = json.loads(read(f"{app['backups']}/state.json", "{}"))
    newest, attempt, proof = (state.get(key) or {} for key in ("newest", "last_attempt", "proof"))
    proven, copied = state.get("proven") or {}, state.get("copied")
    return {
        "newest": newest.get("made"),
        "bytes": newest.get("bytes"),
        "failed": printable(attempt["why"], 300) if attempt and not attempt.get("ok") else None,
        "proven": proven.get("at"),
        "proof_failed": printable(proof["why"], 300) if proof and not proof.get("ok") else None,
        "copied": copied["at"] if copied and copied.get("ok") else None,
        "copy_failed": printable(copied["why"], 300) if copied and not copied.get("ok") else None,
    }


def last_runs():
    """Return the ledger's last lines, the newest last, without anything that is long."""
    lines = [line for path in (LEDGER + ".1", LEDGER) for line in read(path, "").splitlines() if line.strip()]
    found = []
    for line in lines[-RUNS:]:
        run = json.loads(line)
        found.append({
            "id": printable(run["id"]), "purpose": printable(run["purpose"]),
            "owner": printable(run["owner"]), "began": float(run["began"]), "ended": float(run["ended"]),
            "outcome": printable(run["outcome"]), "changes": run.get("changes"),
            "releases": {app: printable(about["release"], 80) for app, about in run["releases"].items()},
        })  # fmt: skip
    return found


def release_of(root):
    """Return the name of an app's current release, None where it has none."""
    try:
        return printable(os.path.basename(os.readlink(f"{root}/current")), 80)
    except OSError:
        return None
