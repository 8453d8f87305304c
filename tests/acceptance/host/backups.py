# The backups of one app: timers, units, modes, state. ABOUT: root, timers, services.
# mypy: ignore-errors
import os
import stat

from tests.acceptance.host.common import ABOUT, answer, json, show, subprocess, time

# One that is just being made is waited for: a first deploy leaves the first to end by itself.
WAIT = 60


def on(timer):
    enabled = subprocess.run(["systemctl", "is-enabled", timer], capture_output=True, text=True)
    listed = subprocess.run(
        ["systemctl", "list-timers", "--all", "--no-legend", timer],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return {
        "enabled": enabled.stdout.strip(),
        "active": show(timer, "ActiveState")["ActiveState"],
        "next": bool(listed.strip()) and not listed.startswith(("-", "n/a")),
    }


def loose(root):
    """Return what in the backups is not root's alone."""
    found = []
    for folder, _, names in os.walk(root):
        for path, wanted in [(folder, 0o700), *((os.path.join(folder, name), 0o600) for name in names)]:
            about = os.lstat(path)
            if (stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid) != (wanted, 0, 0):
                found.append(f"{path} {stat.S_IMODE(about.st_mode):04o} {about.st_uid}:{about.st_gid}")
    return found


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


root = ABOUT["root"]
deadline = time.monotonic() + WAIT
while any(show(one, "ActiveState")["ActiveState"] == "activating" for one in ABOUT["services"]):
    if time.monotonic() > deadline:
        break
    time.sleep(0.5)
names = sorted(os.listdir(root)) if os.path.isdir(root) else []
made = {name: read(f"{root}/{name}/backup.json") for name in names if name[:1].isdigit()}
answer({
    "timers": {one: on(one) for one in ABOUT["timers"]},
    "failed": [one for one in ABOUT["services"] if show(one, "ActiveState")["ActiveState"] == "failed"],
    "made": {name: about["made"] for name, about in made.items() if about is not None},
    "state": read(f"{root}/state.json") or {},
    "loose": loose(root),
    "now": time.time(),
})  # fmt: skip
