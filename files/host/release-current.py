# Switch `current` of an app to one of its releases by rename, and remember the one before as `previous`.
# usage: release-current.py APP_DIR RELEASE
#
# A service stands in parts/DIGEST, a link to the release in which its files first came. Such a link is never
# changed while it leads somewhere, so that what did not change keeps its configuration and its process.
import json
import os
import sys

app_dir, release = sys.argv[1:]


def parts(name):
    """Return the parts of one release, None where there is no such release or only half of it."""
    try:
        with open(os.path.join("releases", name, ".hostwright.json"), encoding="utf-8") as file:
            return json.load(file).get("parts", {})
    except (FileNotFoundError, NotADirectoryError):
        return None


def link_target(link):
    return os.readlink(link) if os.path.islink(link) else None


def is_whole(name):
    """Return whether a part's link leads to a release that has this part."""
    _, _, holder = (link_target(f"parts/{name}") or "").partition("../releases/")
    return bool(holder) and "/" not in holder and name in (parts(holder) or {})


def point(link, target):
    aside = os.path.join(os.path.dirname(link), f".{os.path.basename(link)}.new")
    if os.path.lexists(aside):
        os.unlink(aside)
    os.symlink(target, aside)
    os.rename(aside, link)


def sync(directory):
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main():
    os.chdir(app_dir)
    wanted = parts(release)
    if wanted is None:
        raise FileNotFoundError(f"there is no whole release {release}; unpack it first")
    if wanted:
        os.makedirs("parts", mode=0o755, exist_ok=True)
    for name in wanted:
        if not is_whole(name):
            point(f"parts/{name}", f"../releases/{release}")
    # What `current` leads to must be on the disk before it does.
    if wanted:
        sync("parts")
    now = link_target("current")
    if now not in (None, f"releases/{release}"):
        point("previous", now)
    if now != f"releases/{release}":
        point("current", f"releases/{release}")
    sync(".")


os.umask(0o022)
try:
    main()
except OSError as error:
    print(f"{app_dir}: {error}", file=sys.stderr)
    sys.exit(1)
