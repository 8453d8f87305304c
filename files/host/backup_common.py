# What every part of backup.py stands on: its errors, its places, the server, files that outlive a power cut.
import contextlib
import fcntl
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time

from whole_files import read_json, write_whole

CONFIGS = "/etc/hostwright/backup"
RUNTIME = "/run/hostwright"
STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
MIB = 1 << 20
# How long one of two programs waits for the other, and how often it looks.
PATIENCE = 12 * 3600
PAUSED = 1.0
AS_POSTGRES = {"user": "postgres", "group": "postgres", "extra_groups": []}


class FailedError(Exception):
    """What went wrong, in words for whoever is woken by it."""


def say(line):
    # Whoever listened may have gone: that is no reason to stop half way.
    with contextlib.suppress(BrokenPipeError):
        print(line, flush=True)


def stamp_of(seconds):
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))


def size(count):
    """Return a number of bytes for people."""
    return f"{count / MIB:.1f} MiB" if count < 10 * 1024 * MIB else f"{count / MIB / 1024:.1f} GiB"


def load_config(app):
    """Return what is declared for an app; the file is the deploy's."""
    path = f"{CONFIGS}/{app}.json"
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        raise FailedError(f"{path} does not exist: no backup is declared for {app}; run deploy.py") from None


def state(config):
    found = read_json(f"{config['root']}/state.json")
    return found if isinstance(found, dict) else {}


def note(config, **changes):
    """Write what is new into state.json, which acceptance and monitoring read."""
    whole = json.dumps({**state(config), **changes}, indent=1, sort_keys=True)
    write_whole(f"{config['root']}/state.json", whole)


@contextlib.contextmanager
def locked(config, what):
    """
    Let one program at a time work on an app's backups; a killed one leaves no lock behind.

    Whoever comes second waits: a proof that gave up, because a large backup is still being copied, would not
    come again for a week.
    """
    os.makedirs(RUNTIME, mode=0o755, exist_ok=True)
    with open(f"{RUNTIME}/backup-{config['app']}.lock", "a+", encoding="utf-8") as file:
        deadline, told = time.monotonic() + PATIENCE, False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                file.seek(0)
                at_work = f"another one is at work on the backups of {config['app']} ({file.read().strip()})"
            if time.monotonic() > deadline:
                raise FailedError(f"{at_work}; end it, or wait until it has ended, and begin again")
            if not told:
                say(f"{at_work}; {what} begins when it has ended")
                told = True
            time.sleep(PAUSED)
        file.truncate(0)
        file.write(f"{what}, process {os.getpid()}, since {time.strftime('%H:%M:%S UTC', time.gmtime())}\n")
        file.flush()
        yield


def make_root(config):
    """Make the directory of an app's backups, root's alone."""
    root = config["root"]
    os.makedirs(root, mode=0o700, exist_ok=True)
    os.chmod(root, 0o700)
    return root


def backups(config):
    """Return stamp → backup.json of every whole backup, oldest first; other directories are none."""
    found = {}
    for path in sorted(glob.glob(f"{config['root']}/*/backup.json")):
        about, stamp = read_json(path), os.path.basename(os.path.dirname(path))
        if STAMP.fullmatch(stamp) and is_whole(about) and about["stamp"] == stamp:
            found[stamp] = about
    return found


def newest_of(found):
    """
    Return the newest of stamp → backup.json: not one of a time to come, made while the clock was wrong.

    Where all of them are, the last: better than none.
    """
    now = stamp_of(time.time())
    return found[max([one for one in found if one <= now] or found)]


def is_whole(about):
    """Return whether a backup.json says all that it must."""
    kinds = {"stamp": str, "made": int, "bytes": int, "tables": dict, "files": dict}
    return isinstance(about, dict) and all(isinstance(about.get(key), kind) for key, kind in kinds.items())


def free(path):
    """Return the bytes free at a path, and the floor that a backup leaves free there."""
    found = os.statvfs(path)
    whole = found.f_blocks * found.f_frsize
    return found.f_bavail * found.f_frsize, max(16 * MIB, min(1024 * MIB, whole // 20))


def need(path, wanted, what):
    """Refuse what would not fit; the floor stays free for everything else that writes there."""
    there, floor = free(path)
    if there < wanted + floor:
        raise FailedError(
            f"{what} may need {size(wanted)}, and {size(floor)} must stay free, but {path} has only "
            f"{size(there)}: {size(wanted + floor - there)} are missing; free some space (df -h {path}), "
            "or keep fewer backups"
        )


class Server:
    """The PostgreSQL cluster of this host, or the one that is named, as its own administrator sees it."""

    def __init__(self, cluster):
        root = "/etc/postgresql"
        names = sorted(
            os.path.dirname(one)[len(root) + 1 :] for one in glob.glob(root + "/*/*/postgresql.conf")
        )
        if cluster is None and len(names) != 1:
            raise FailedError(
                f"this host has {len(names)} PostgreSQL clusters{': ' if names else ''}{', '.join(names)}; "
                "name one in postgresql.cluster of group_data"
            )
        self.cluster = cluster or names[0]
        self.bin = f"/usr/lib/postgresql/{self.cluster.partition('/')[0]}/bin"
        with open(f"{root}/{self.cluster}/postgresql.conf", encoding="utf-8") as file:
            given = re.findall(r"^\s*data_directory\s*=?\s*'([^']*)'", file.read(), re.MULTILINE)
        self.data = given[-1] if given else f"/var/lib/postgresql/{self.cluster}"
        self.wait()

    def wait(self, seconds=60):
        """Wait while the server starts; its own file says where it listens and whether it is ready."""
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError, IndexError):
                with open(f"{self.data}/postmaster.pid", encoding="utf-8") as file:
                    lines = file.read().splitlines()
                if os.path.exists(f"/proc/{lines[0]}") and lines[7].startswith("ready"):
                    self.host, self.port = lines[4], lines[3]
                    return
            if time.monotonic() > deadline:
                raise FailedError(
                    f"PostgreSQL {self.cluster} does not accept connections; "
                    "pg_lsclusters shows its state and its log"
                )
            time.sleep(0.5)

    def environment(self):
        """Return variables that leave nothing to the login's own."""
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/",
            "PGHOST": self.host, "PGPORT": self.port, "PGAPPNAME": "hostwright-backup",
            "PGCLIENTENCODING": "UTF8", "PGCONNECT_TIMEOUT": "10",
            "PGOPTIONS": "-c search_path=pg_catalog -c lc_messages=C -c client_min_messages=warning "
            "-c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c lock_timeout=60s",
        }  # fmt: skip

    def start(self, program, *arguments, **streams):
        return subprocess.Popen(
            [f"{self.bin}/{program}", *arguments], cwd="/", env=self.environment(), umask=0o077,
            **AS_POSTGRES, **streams,
        )  # fmt: skip

    def query(self, database, sql, **variables):
        """Return what SQL prints; variables stand in it as :'name'."""
        words = ["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database]
        words += [word for key, value in variables.items() for word in ("-v", f"{key}={value}")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        done = self.start("psql", *words, **pipes)
        said, wrong = done.communicate(sql)
        if done.returncode != 0:
            raise FailedError(f"database {database}: {wrong.strip() or f'psql ended with {done.returncode}'}")
        return said.strip()

    def size(self, database):
        return int(self.query("postgres", "select pg_database_size(:'database');", database=database))


def remove(path):
    """Remove a directory tree of ours, whatever is left of it."""
    if os.path.lexists(path):
        shutil.rmtree(path)


def fail(line):
    print(line, file=sys.stderr, flush=True)
