# Bring a host back to what a snapshot recorded: a part of trial-undo.py.
# Each step looks first and changes only what differs, so it may be cut off anywhere and begun again.
import glob
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys

from trial_databases import databases_back

HERE = os.path.dirname(os.path.abspath(__file__))
UNITS = "/etc/systemd/system/"


class Restore:
    """One snapshot's way back; `said` is what was done, `failed` what could not be."""

    def __init__(self, snapshot, scopes=None, notes=None, but=()):
        with open(snapshot + "/manifest.json", encoding="utf-8") as file:
            self.manifest = json.load(file)
        self.snapshot = snapshot
        self.scopes = scopes  # None: all; else the host ("") and the apps that go back
        self.but = but  # apps that do not
        self.notes = notes  # where the changed paths are kept in case this is cut off
        self.said, self.failed = [], []
        self.changed = set()
        if notes and os.path.exists(notes):
            with open(notes, encoding="utf-8") as file:
                self.changed = set(json.load(file))

    def concerns(self, scope):
        return scope not in self.but and (self.scopes is None or scope in self.scopes)

    def run(self):
        """Go all the way; a step that fails does not keep the others from being done."""
        steps = [self.stop_new_units, self.files, self.sysctls, self.swap, self.clusters, self.effects,
                 self.roles, self.databases, self.units, self.services]  # fmt: skip
        for step in steps:
            self.attempt(step)
        return not self.failed

    def attempt(self, step, *arguments):
        try:
            step(*arguments)
        except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
            detail = getattr(error, "stderr", None) or getattr(error, "stdout", None) or ""
            self.failed.append(f"{step.__name__.replace('_', ' ')}: {error} {detail}".strip())

    # --- files

    def wanted(self):
        """Return path → what was there, for every path that the run may have touched."""
        found = {}
        for path, about in self.manifest["files"].items():
            if self.concerns(about["scope"]):
                found[path] = about
        for scope, lists in self.manifest["patterns"].items():
            for pattern in lists["owned"] if self.concerns(scope) else ():
                # What matches now and did not then is new.
                for path in glob.glob(pattern) if glob.has_magic(pattern) else ():
                    found.setdefault(path, {"kind": "absent", "scope": scope})
        kept = {path for lists in self.manifest["patterns"].values() for path in lists["kept"]}
        return {
            path: about
            for path, about in found.items()
            if not (about["kind"] == "absent" and self.is_kept(path, kept))
        }

    @staticmethod
    def is_kept(path, kept):
        return any(path == os.path.expanduser(one) or path in glob.glob(one) for one in kept)

    def files(self):
        differing = {path: about for path, about in self.wanted().items() if differs(path, about)}
        self.changed |= set(differing)
        if self.notes:
            write(self.notes, json.dumps(sorted(self.changed)))
        for path, about in sorted(differing.items()):
            self.attempt(self.put_back, path, about)
        if any(path.startswith(UNITS) for path in self.changed):
            call("systemctl", "daemon-reload")

    def put_back(self, path, about):
        aside = path + ".hostwright-undo"
        if about["kind"] == "absent":
            if os.path.lexists(path):
                os.unlink(path)
                sync(os.path.dirname(path))
            self.said.append(f"removed {path}")
            return
        if about["kind"] == "other":
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(aside):
            os.unlink(aside)
        if about["kind"] == "link":
            os.symlink(about["target"], aside)
            os.chown(aside, *about["owner"], follow_symlinks=False)
            os.utime(aside, ns=(about["mtime"], about["mtime"]), follow_symlinks=False)
        else:
            shutil.copy2(self.snapshot + "/files" + path, aside)
            os.chown(aside, *about["owner"])
            os.chmod(aside, about["mode"])
            os.utime(aside, ns=(about["mtime"], about["mtime"]))
            sync(aside)
        os.rename(aside, path)
        sync(os.path.dirname(path))
        what = f"{path} → {about['target']}" if about["kind"] == "link" else path
        self.said.append(f"put back {what}")

    # --- the host

    def sysctls(self):
        for name, value in self.manifest["sysctls"].items() if self.concerns("") else ():
            path = "/proc/sys/" + name.replace(".", "/")
            with open(path, encoding="utf-8") as file:
                if file.read().strip() == value:
                    continue
            with open(path, "w", encoding="utf-8") as file:
                file.write(value)
            self.said.append(f"set {name} = {value}")

    def swap(self):
        before = self.manifest["swap"]
        if before is None or not self.concerns(""):
            return
        state = program("swap-state.sh", before["path"], "/nonexistent")
        active = "\nactive yes" in state or "\nelsewhere yes" in state
        size = os.path.getsize(before["path"]) if os.path.exists(before["path"]) else None
        if os.path.exists(before["path"] + ".hostwright-new"):
            os.unlink(before["path"] + ".hostwright-new")
        if (size, active) == (before["size"], before["active"]):
            return
        if before["size"] is None:
            program("swap-remove.sh", before["path"])
        else:
            if size != before["size"] or before["active"]:
                program("swap-apply.sh", before["path"], str(before["size"]))
                active = True
            if active and not before["active"]:
                call("swapoff", before["path"])
        self.said.append(f"put back the swap file {before['path']}")

    def clusters(self):
        """Have each database server that was up be up again, with the settings that are back."""
        if not self.concerns(""):
            return
        for cluster, status in self.manifest["clusters"].items():
            if not status.startswith("online"):
                continue
            done = program(
                "trial-cluster.sh", *cluster.split("/"), "reload" if self.touched_by(cluster) else "up"
            )
            self.said += done.splitlines()

    def touched_by(self, cluster):
        return any(path.startswith(f"/etc/postgresql/{cluster}/") for path in self.changed)

    def effects(self):
        """Make files that are back count: a reload of sshd, of the firewall."""
        for effect in self.manifest["effects"] if self.concerns("") else ():
            if self.changed & set(effect["paths"]):
                self.attempt(self.effect, effect)

    def effect(self, effect):
        program(effect["program"], *effect["arguments"])
        self.said.append(effect["says"])

    def roles(self):
        """Put back the roles of the apps that go back: a role's password goes with the app's secrets."""
        names = [
            role
            for app, before in self.manifest["apps"].items()
            for role in before["roles"]
            if self.concerns(app)
        ]
        path = self.snapshot + "/roles.sql"
        if names and os.path.getsize(path):
            self.said += program(
                "trial-roles.sh", "restore", self.manifest.get("cluster") or "", path, *names
            ).splitlines()

    def databases(self):
        """Give databases back their names, before services start; data is no matter of an app's rollback."""
        if self.scopes is None:
            self.said += databases_back(self.snapshot, program)

    # --- units

    def stop_new_units(self):
        """Stop what was not there; its file, and so the way to stop it, is about to go."""
        for unit, before in self.manifest["units"].items():
            if before["LoadState"] == "not-found" and self.concerns(before["scope"]):
                self.attempt(self.stop_new_unit, unit)

    def stop_new_unit(self, unit):
        if os.path.exists(UNITS + unit):
            call("systemctl", "--quiet", "disable", "--now", unit)
        elif is_active(unit):  # an earlier attempt took its file and did not get it to stop
            call("systemctl", "stop", unit)
        else:
            return
        self.said.append(f"stopped {unit}, which was not there before")

    def units(self):
        for unit, before in sorted(self.manifest["units"].items()):
            if self.concerns(before["scope"]) and before["LoadState"] == "loaded":
                self.attempt(self.unit, unit, before)

    def unit(self, unit, before):
        """Start, stop or restart one unit, as its state then and its files now ask for."""
        active = is_active(unit)
        if before["ActiveState"] not in ("active", "activating", "reloading"):
            if active:
                call("systemctl", "stop", unit)
                self.said.append(f"stopped {unit}")
            return
        stale = (
            before.get("started")
            and subprocess.run(
                ["sha256sum", "--check", "--status", before["started"]], capture_output=True, check=False
            ).returncode
        )
        if not active or stale:
            call("systemctl", "reset-failed", unit)
            call("systemctl", "restart", unit)
            self.said.append(f"restarted {unit}")

    def services(self):
        """Have each app's services run as its release has them: restart what differs, and nothing else."""
        for app, before in sorted(self.manifest["apps"].items()):
            if self.concerns(app) and before["current"] is not None:
                self.attempt(self.update, before["update"])
            # Its flag is the first argument: one that is there was set by this run, or is left alone.
            ours = self.scopes is None or app in self.scopes
            if ours and before["leave"] and os.path.exists(before["leave"][2]):
                self.attempt(self.update, before["leave"])

    def update(self, command):
        self.said += program(*command).splitlines()


def differs(path, about):
    """Return whether what is at a path is something else than it was."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return about["kind"] != "absent"
    if about["kind"] == "absent":
        return not stat.S_ISDIR(found.st_mode)
    if about["kind"] == "link":
        return not stat.S_ISLNK(found.st_mode) or os.readlink(path) != about["target"]
    if about["kind"] == "other" or not stat.S_ISREG(found.st_mode):
        return about["kind"] != "other"
    now = ([found.st_uid, found.st_gid], stat.S_IMODE(found.st_mode), found.st_mtime_ns)
    if now != (about["owner"], about["mode"], about["mtime"]):
        return True
    if {name: os.getxattr(path, name).hex() for name in os.listxattr(path)} != about["attributes"]:
        return True
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest() != about["sha256"]


def is_active(unit):
    return subprocess.run(["systemctl", "--quiet", "is-active", unit], check=False).returncode == 0


def call(*command):
    subprocess.run(command, capture_output=True, text=True, check=True)


def program(name, *arguments):
    """Run a program that lies beside this one and return what it says."""
    runner = ["sh"] if name.endswith(".sh") else [sys.executable, "-I"]
    path = os.path.join(HERE, name)
    return subprocess.run([*runner, path, *arguments], capture_output=True, text=True, check=True).stdout


def sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path, text):
    """Write a whole file by rename."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".new", path)
