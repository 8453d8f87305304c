# Health and monitoring as they are. ABOUT: timer, apps, units (None for none of it), server, seconds.
# mypy: ignore-errors
import urllib.request

from tests.acceptance.host.common import ABOUT, answer, json, re, show, subprocess, time


def state(unit):
    enabled = subprocess.run(["systemctl", "is-enabled", unit], capture_output=True, text=True).stdout.strip()
    return [show(unit, "ActiveState")["ActiveState"], enabled]


def rounds(app):
    """Return how old the last round of an app is, once one has ended, and what did not pass in it."""
    deadline = time.monotonic() + ABOUT["seconds"]
    while True:
        try:
            with open(f"/var/lib/hostwright/health/{app}.json", encoding="utf-8") as file:
                found = json.load(file)
            return {"age": time.time() - found["at"], "failed": found["failed"]}
        except FileNotFoundError:
            if time.monotonic() > deadline:
                return None
        time.sleep(1)


def targets():
    """Return job and host to their health, as Prometheus sees it; what it has not asked yet is waited for."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + ABOUT["seconds"]
    while True:
        with opener.open("http://127.0.0.1:9090/api/v1/targets", timeout=10) as said:
            active = json.load(said)["data"]["activeTargets"]
        found = {f"{one['labels']['job']} of {one['labels']['host']}": one["health"] for one in active}
        if "unknown" not in found.values() or time.monotonic() > deadline:
            return found
        time.sleep(1)


listed = subprocess.run(["ss", "-Htlnp"], capture_output=True, text=True, check=True).stdout
answer({
    "timer": state(ABOUT["timer"]),
    "rounds": {app: rounds(app) for app in ABOUT["apps"]},
    "units": {unit: state(unit) for unit in ABOUT["units"]},
    "targets": targets() if ABOUT["server"] else None,
    "listens": sorted(line.split()[3] for line in listed.splitlines() if re.search('"prometheus', line)),
})  # fmt: skip
