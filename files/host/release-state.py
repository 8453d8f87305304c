# Print, as JSON, the releases, parts and virtual environments of one app and what still refers to them.
# usage: release-state.py APP_DIR
import json
import os
import re
import sys


def names(directory):
    return sorted(os.listdir(directory)) if os.path.isdir(directory) else []


def target(link):
    return os.path.basename(os.readlink(link)) if os.path.islink(link) else None


def release(directory):
    """Return what the marker of one release says; a directory without a marker is no release."""
    try:
        with open(os.path.join(directory, ".hostwright.json"), encoding="utf-8") as file:
            marker = json.load(file)
            made = os.fstat(file.fileno()).st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return None
    links = [os.path.join(directory, name) for name in names(directory)]
    venvs = [os.readlink(link) for link in links if os.path.islink(link)]
    prefix = os.path.join(sys.argv[1], "venvs") + "/"
    return {
        "identity": marker["identity"],
        "made": made,
        "venvs": [path[len(prefix) :] for path in venvs if path.startswith(prefix)],
        "parts": sorted(marker.get("parts", {})),
        "about": marker.get("about"),
    }


def part(link):
    """Return the release that a part's link leads to; None where that is gone or has no such part."""
    name = target(link)
    about = found.get(name) if name else None
    if (
        not about
        or os.path.basename(link) not in about["parts"]
        or os.readlink(link) != f"../releases/{name}"
    ):
        return None
    return name


def in_use(app_dir):
    """Return the releases, venvs and parts that running processes were started from or stand in."""
    pattern = re.compile(re.escape(app_dir) + r"/(?:releases|venvs|parts)/([^/\0 ]+)")
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                text = file.read()
            text += "\0" + os.readlink(f"/proc/{pid}/cwd")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile, or is a kernel thread
        if int(pid) != os.getpid():
            found.update(pattern.findall(text))
    return sorted(found)


def good(app):
    """Return the releases that were confirmed, the earliest first."""
    try:
        with open("/var/lib/hostwright/releases.json", encoding="utf-8") as file:
            known = json.load(file).get(app, {})
    except FileNotFoundError:
        return []
    confirmed = [name for name, about in known.items() if about["state"] == "good"]
    return sorted(confirmed, key=lambda name: known[name]["at"])


app_dir = sys.argv[1]
releases, venvs, parts = (os.path.join(app_dir, name) for name in ("releases", "venvs", "parts"))
found = {name: release(os.path.join(releases, name)) for name in names(releases) if name[0] != "."}
print(
    json.dumps(
        {
            "releases": {name: state for name, state in found.items() if state is not None},
            "current": target(os.path.join(app_dir, "current")),
            "previous": target(os.path.join(app_dir, "previous")),
            "venvs": [name for name in names(venvs) if name[0] != "."],
            "parts": {name: part(os.path.join(parts, name)) for name in names(parts) if name[0] != "."},
            "leftovers": [
                *(f"releases/{name}" for name in names(releases) if name[0] == "." or found[name] is None),
                *(f"venvs/{name}" for name in names(venvs) if name[0] == "." and name != ".lock"),
                *(f"parts/{name}" for name in names(parts) if name[0] == "."),
            ],
            "in_use": in_use(app_dir),
            "good": good(os.path.basename(app_dir)),
        }
    )
)
