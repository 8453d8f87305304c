# An app's variables: in its environment file and in its running processes; no value leaves the host.
# ABOUT: app, units, env_file, secrets_root, prefix, variables {name: {"text": ...} or {"secret": ...}},
# services {name: {variable: text}}.
# mypy: ignore-errors
import os

from tests.acceptance.host.common import ABOUT, answer, env_file, secret_file, services


def expected(extra):
    values = {}
    for name, value in ABOUT["variables"].items():
        if "text" in value:
            values[name] = value["text"]
        else:
            values[name] = secret_file(ABOUT["secrets_root"], value["secret"])
    return {**values, **extra}


def running(pid):
    with open(f"/proc/{pid}/environ", encoding="utf-8", errors="replace") as file:
        return dict(entry.split("=", 1) for entry in file.read().split("\0") if "=" in entry)


def compared(actual, wanted):
    return {
        "missing": sorted(wanted.keys() - actual.keys()),
        "undeclared": sorted(actual.keys() - wanted.keys()),
        "different": sorted(name for name in wanted.keys() & actual.keys() if wanted[name] != actual[name]),
    }


def of_service(pid, extra):
    if not pid:
        return None
    state = compared(running(pid), expected(extra))
    # PATH, HOME and the like are systemd's and supervisor's; what bears the app's prefix is ours.
    prefix = ABOUT["prefix"]
    state["undeclared"] = [name for name in state["undeclared"] if prefix and name.startswith(prefix)]
    return state


def pids():
    """Return the services' processes; without a supervisor there are none, and the file still counts."""
    if ABOUT["units"] is None and not os.path.exists(f"/run/{ABOUT['app']}/supervisor.sock"):
        return {}
    return {name: info["pid"] for name, info in services(ABOUT).items()}


now = pids()
answer(
    {
        "file": compared(env_file(ABOUT["env_file"]), expected({})),
        "services": {name: of_service(now.get(name, 0), extra) for name, extra in ABOUT["services"].items()},
    }
)
