"""What health.py knows, as node exporter's textfile collector reads it."""

import os
import time

from file_sizes import bytes_below
from health_act import TRIAL, run_holds_lock
from health_files import json_lines
from whole_files import read_json

LEDGER = "/var/log/hostwright/ledger.jsonl"
DRIFT = "/var/lib/hostwright/drift.json"
BACKUPS = "/etc/hostwright/backup"
# Of the runs, those that are told of one by one.
KEPT_RUNS = 8
# A run that ended so left the host as it was meant to be.
GOOD = ("confirmed", "rolled back", "unchanged")

HELP = {
    "health_run_timestamp_seconds": "When the last round of health.py began.",
    "health_every_seconds": "How long it is from round to round.",
    "health_round_seconds": "How long the last round took.",
    "gates_passed": "Whether all gates of an app passed.",
    "gates": "How many gates an app has.",
    "gate_failed": "A gate that did not pass.",
    "gates_seconds": "How long an app's gates took.",
    "service_running": "Whether a service runs.",
    "service_restarts_total": "How often a service began anew, as far as was seen.",
    "health_restarts_total": "How often health.py restarted a service.",
    "service_memory_bytes": "Memory of a service, its processes' shares of what they share.",
    "service_cpu_ratio": "How much of one CPU a service used since the round before.",
    "held": "Whether a run or maintenance keeps health.py from acting.",
    "log_bytes": "Size of an app's log directory.",
    "log_written_bytes_total": "What an app wrote to its logs.",
    "log_lines_total": "Lines of an app's logs.",
    "error_lines_total": "Log lines that match the app's log gates.",
    "recovery_seconds": "How long the app's last recovery took, by its log.",
    "recovery_timestamp_seconds": "When that was seen.",
    "baseline_value": "What is measured now of what has, or will have, a usual range.",
    "baseline_low": "The lower end of what is usual.",
    "baseline_high": "The upper end of what is usual.",
    "baseline_ready": "Whether the usual range is known; 0 while it is learnt.",
    "baseline_learned_ratio": "How much of the time of learning is over.",
    "backup_last_success_timestamp_seconds": "When the newest backup was made, or since when one is due.",
    "backup_last_attempt_ok": "Whether the last attempt at a backup succeeded.",
    "backup_last_proof_timestamp_seconds": "When one was last proven, or since when that is due.",
    "backup_last_proof_ok": "Whether the last proof succeeded.",
    "backup_bytes": "Size of the newest backup.",
    "run_last_timestamp_seconds": "When the last run of hostwright ended.",
    "run_last_ok": "Whether it left the host as declared.",
    "run_last_info": "What it was, and how it ended.",
    "run_ended_timestamp_seconds": "When one of the last runs ended, and with which releases.",
    "release_info": "The release that is current.",
    "run_at_work": "Whether a run holds the lock, or is unconfirmed.",
    "trial_armed_timestamp_seconds": "Since when a run is unconfirmed.",
    "drift_timestamp_seconds": "When drift.py last left here what it found.",
    "drift_differences": "How much was not as declared then; nothing once a run was confirmed after it.",
}


class Samples:
    """Samples of metrics, in the order in which they were first named."""

    def __init__(self):
        self.of = {}

    def add(self, metric, value, /, **labels):
        if value is None:
            return
        inside = ",".join(f'{key}="{escaped(text)}"' for key, text in labels.items())
        braces = f"{{{inside}}}" if inside else ""
        number = int(value) if isinstance(value, bool) else value
        self.of.setdefault(metric, []).append(f"hostwright_{metric}{braces} {number}")

    def text(self):
        lines = []
        for metric, samples in self.of.items():
            kind = "counter" if metric.endswith("_total") else "gauge"
            lines += [f"# HELP hostwright_{metric} {HELP[metric]}", f"# TYPE hostwright_{metric} {kind}"]
            lines += samples
        return "\n".join([*lines, ""])


def escaped(text):
    return str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def metrics_text(config, states, began):
    """Return all metrics of a host after a round."""
    samples = Samples()
    samples.add("health_run_timestamp_seconds", round(began, 3))
    samples.add("health_every_seconds", config["every"])
    samples.add("health_round_seconds", round(time.time() - began, 3))
    for app, state in states.items():
        of_app(samples, app, config["apps"][app], state)
        if "baseline" in state:
            of_usage(samples, app, state)
        of_backups(samples, app)
    of_runs(samples)
    of_drift(samples)
    return samples.text()


def of_app(samples, app, about, state):
    samples.add("release_info", 1, app=app, release=state["release"])
    samples.add("gates_passed", state["passed"], app=app)
    samples.add("gates", state["gates"], app=app)
    samples.add("gates_seconds", state["seconds"], app=app)
    for gate in sorted({one["gate"] for one in state["failed"]}):
        samples.add("gate_failed", 1, app=app, gate=gate[:120])
    for service, seen in state["services"].items():
        samples.add("service_running", seen["runs"], app=app, service=service)
    for service, count in state["restarts"].items():
        samples.add("service_restarts_total", count, app=app, service=service)
        samples.add("health_restarts_total", state["acted"].get(service, 0), app=app, service=service)
    samples.add("held", state["held"] is not None, app=app)
    logs = state["logs"]
    log_root = about.get("log_root")
    known = log_root is not None and os.path.isdir(log_root)
    samples.add("log_bytes", bytes_below(log_root) if known else None, app=app)
    samples.add("log_written_bytes_total", logs["written"], app=app)
    samples.add("log_lines_total", logs["lines"], app=app)
    for service, count in logs["errors"].items():
        samples.add("error_lines_total", count, app=app, service=service)
    if logs["recovered"]:
        whose = {"app": app, "service": logs["recovered"]["service"]}
        samples.add("recovery_seconds", logs["recovered"]["seconds"], **whose)
        samples.add("recovery_timestamp_seconds", round(logs["recovered"]["at"]), **whose)


def of_usage(samples, app, state):
    """What the services use, what is usual, and what is now."""
    for service, used in state["used"]["of"].items():
        samples.add("service_memory_bytes", used["memory"], app=app, service=service)
        samples.add("service_cpu_ratio", state["used"]["cpu"].get(service), app=app, service=service)
    known = state["baseline"]
    samples.add("baseline_learned_ratio", known["learned"], app=app)
    for key, value in known["values"].items():
        samples.add("baseline_value", value, app=app, **of_key(key))
    for key, about in known["ranges"].items():
        samples.add("baseline_low", about["low"], app=app, **of_key(key))
        samples.add("baseline_high", about["high"], app=app, **of_key(key))
    for key in sorted({*known["ranges"], *known["learning"]}):
        samples.add("baseline_ready", key in known["ranges"], app=app, **of_key(key))


def of_key(key):
    metric, _, service = key.partition(" ")
    return {"metric": metric, "service": service} if service else {"metric": metric}


def of_backups(samples, app):
    """How old the newest backup is, and the newest proof; nothing of an app that has none."""
    declared = f"{BACKUPS}/{app}.json"
    config = read_json(declared)
    if config is None:
        return
    state = read_json(f"{config['root']}/state.json") or {}
    since = round(os.stat(declared).st_mtime)
    newest, attempt = state.get("newest") or {}, state.get("last_attempt") or {}
    samples.add("backup_last_success_timestamp_seconds", newest.get("made", since), app=app)
    samples.add("backup_last_attempt_ok", attempt.get("ok"), app=app)
    samples.add("backup_bytes", newest.get("bytes"), app=app)
    if config.get("prove") is not None:
        proven, proof = state.get("proven") or {}, state.get("proof") or {}
        samples.add("backup_last_proof_timestamp_seconds", proven.get("at", since), app=app)
        samples.add("backup_last_proof_ok", proof.get("ok"), app=app)


def of_runs(samples):
    """How the last run ended, and whether one is at work."""
    runs = json_lines(LEDGER, KEPT_RUNS)
    for one in runs:
        releases = {app: about.get("release", "") for app, about in (one.get("releases") or {}).items()}
        samples.add(
            "run_ended_timestamp_seconds", round(one.get("ended", 0)),
            run=one.get("id", ""), outcome=one.get("outcome", ""), purpose=one.get("purpose", ""),
            releases=", ".join(f"{app} {release}" for app, release in sorted(releases.items())),
        )  # fmt: skip
    last = runs[-1] if runs else None
    if last is not None:
        samples.add("run_last_timestamp_seconds", round(last.get("ended", 0)))
        samples.add("run_last_ok", last.get("outcome") in GOOD)
        about = {"outcome": last.get("outcome", ""), "purpose": last.get("purpose", "")}
        samples.add("run_last_info", 1, **about)
    samples.add("run_at_work", run_holds_lock())
    trial = read_json(f"{TRIAL}/trial.json")
    if trial is not None:
        samples.add("trial_armed_timestamp_seconds", round(trial.get("armed", 0)))


def of_drift(samples):
    """What drift.py left here, as long as no run has brought the host to another state since."""
    record = read_json(DRIFT)
    if not isinstance(record, dict):
        return
    samples.add("drift_timestamp_seconds", record.get("at"))
    # By the run that it came after, not by the time: the ledger's is of whoever deployed.
    runs = json_lines(LEDGER, KEPT_RUNS)
    known = [at for at, one in enumerate(runs) if one.get("id") == record.get("after")]
    later = runs[known[-1] + 1 :] if known else runs
    if not any(one.get("outcome") in GOOD for one in later):
        samples.add("drift_differences", record.get("differences"))
