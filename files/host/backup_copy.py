# Bring a backup to another place: encrypted for keys whose other half is elsewhere, and looked at there.
import contextlib
import json
import os
import subprocess
import time

from backup_common import STAMP, FailedError, need, note, say, size
from backup_keep import kept
from whole_files import sync

END = ".tar.age"


def run(*words, stdin=None):
    done = subprocess.run(
        words, capture_output=True, text=True, stdin=stdin or subprocess.DEVNULL, check=False
    )
    if done.returncode != 0:
        raise FailedError(f"{words[0]} ended with {done.returncode}: {done.stderr.strip()[-1000:]}")
    return done.stdout


def encrypt(config, made):
    """Return the path of one encrypted file with all of a backup, for the recipients' keys."""
    root, stamp = config["root"], made["stamp"]
    path = f"{root}/.{stamp}{END}"
    need(root, int(made["bytes"] * 1.05), f"the encrypted copy of backup {stamp}")
    words = [word for one in config["age_recipients"] for word in ("-r", one)]
    tar = subprocess.Popen(["tar", "-C", root, "-cf", "-", stamp], stdout=subprocess.PIPE)
    try:
        try:
            run("age", *words, "-o", path, stdin=tar.stdout)
        finally:
            tar.stdout.close()
            code = tar.wait()
        if code != 0:
            raise FailedError(f"tar ended with {code}; nothing was copied")
    except (FailedError, OSError):
        # As large as the backup, and on a disk that may just have run full.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        raise
    os.chmod(path, 0o600)
    sync(path)
    return path


class Rsync:
    """The other place as rsync sees it: a directory of this host, or HOST:DIRECTORY by ssh."""

    def __init__(self, copy):
        self.to = copy["to"].rstrip("/") + "/"
        ssh = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]
        ssh += ["-i", copy["ssh_key"]] if copy.get("ssh_key") else []
        self.words = ["rsync", "--timeout=600", *(["-e", " ".join(ssh)] if ":" in self.to else [])]

    def send(self, path, name):
        run(*self.words, "--chmod=F0600", "--partial-dir=.partial", path, f"{self.to}{name}")

    def verify(self, path, name):
        # A dry run that compares checksums names what it would send again.
        said = run(*self.words, "--dry-run", "--checksum", "--out-format=%n", path, f"{self.to}{name}")
        if said.strip():
            raise FailedError(f"{self.to}{name} has another checksum than what was sent")

    def names(self):
        return [
            line.split()[-1] for line in run(*self.words, "--list-only", self.to).splitlines() if line.strip()
        ]

    def remove(self, names, empty):
        run(
            *self.words,
            "-r",
            "--delete",
            *(f"--include=/{name}" for name in names),
            "--exclude=*",
            f"{empty}/",
            self.to,
        )


class Rclone:
    """The other place as rclone sees it: REMOTE:PATH of its configuration, or a directory."""

    def __init__(self, copy):
        self.to = copy["to"].rstrip("/")
        self.words = ["rclone", *(["--config", copy["config"]] if copy.get("config") else []), "--retries=3"]

    def send(self, path, name):
        run(*self.words, "copyto", path, f"{self.to}/{name}")

    def verify(self, path, name):
        # By the store's own checksum where it has one that rclone knows; by size where it has none.
        listed = json.loads(run(*self.words, "lsjson", "--hash", f"{self.to}/{name}"))
        if len(listed) != 1 or listed[0]["Size"] != os.path.getsize(path):
            raise FailedError(f"{self.to}/{name} has another size than what was sent")
        hashes = listed[0].get("Hashes") or {}
        for kind in ("sha256", "sha1", "md5"):
            if hashes.get(kind):
                mine = run(*self.words, "hashsum", kind, path).split()[0]
                if mine != hashes[kind]:
                    raise FailedError(f"{self.to}/{name} has another {kind} than what was sent")
                return

    def names(self):
        return run(*self.words, "lsf", "--files-only", self.to).splitlines()

    def remove(self, names, _empty):
        for name in names:
            run(*self.words, "deletefile", f"{self.to}/{name}")


def copy(config, made):
    """Copy one backup to the other place, and let go there what the policy lets go here."""
    began = time.time()
    path = ""
    try:
        path = encrypt(config, made)
        place = (Rsync if config["copy"]["kind"] == "rsync" else Rclone)(config["copy"])
        name = f"{made['stamp']}{END}"
        place.send(path, name)
        place.verify(path, name)
        prune_there(config, place, made["stamp"])
    except (FailedError, OSError) as error:
        note(config, copied={"stamp": made["stamp"], "at": int(began), "ok": False, "why": str(error)})
        raise FailedError(
            f"backup {made['stamp']} is whole here, and was not copied to {config['copy']['to']}: {error}"
        ) from None
    finally:
        if path and os.path.exists(path):
            count = os.path.getsize(path)
            os.unlink(path)
    note(config, copied={"stamp": made["stamp"], "at": int(began), "ok": True, "why": "", "bytes": count})
    say(
        f"{config['app']}: copied {name} to {config['copy']['to']}: {size(count)}, "
        f"{time.time() - began:.1f} s, its checksum there is the same"
    )


def prune_there(config, place, newest):
    """Remove there what the policy lets go; other files there are none of ours."""
    stamps = [name.removesuffix(END) for name in place.names() if name.endswith(END)]
    mine = [stamp for stamp in stamps if STAMP.fullmatch(stamp)]
    keep = config["keep"]
    gone = sorted(set(mine) - kept(mine, keep["daily"], keep["weekly"], keep["monthly"], always=[newest]))
    if gone:
        empty = f"{config['root']}/.empty.partial"
        os.makedirs(empty, exist_ok=True)
        place.remove([f"{stamp}{END}" for stamp in gone], empty)
        os.rmdir(empty)
        say(f"{config['app']}: removed {len(gone)} copies that the policy lets go")
