"""A lab host under the matrix: looked at without its network, its disk saved and put back."""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lab
from lab import cgroups, removal
from lab.run import run, succeeds

LOOK = Path(__file__).parent / "host" / "look.py"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# From <linux/fs.h> and <linux/ext4.h>: the file system stops where it is, nothing more reaches the disk.
FS_IOC_SHUTDOWN = 0x8004587D
NO_LOG_FLUSH = 2


class MatrixError(Exception):
    """The matrix itself could not go on; nothing is known of the cell."""


@dataclass
class Machine:
    """
    One lab host and a saved image of its disk.

    + name: of the lab host
    + saved: where the image is kept
    + health: port to health page, of both releases
    """

    name: str
    saved: Path
    health: dict[str, str]

    @property
    def host(self) -> lab.Host:
        return lab.find(self.name)

    # --- looking

    def inside(self, *command: str) -> list[str]:
        """Return a command line that runs in the host, whether or not its network works."""
        host = self.host
        for pid in cgroups.processes(host.id):
            try:
                status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended meanwhile
            numbers = next((one.split()[1:] for one in status.splitlines() if one.startswith("NSpid:")), [])
            if numbers[-1:] == ["1"] and len(numbers) > 1:
                spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
                environment = ("env", "-i", PATH, "HOME=/root", "LC_ALL=C")
                return ["nsenter", "--target", str(pid), *spaces, "--", *environment, *command]
        raise MatrixError(f"{self.name} has no first process: it is off")

    def do(self, *command: str, stdin: str = "") -> str:
        """Run a command in the host and return what it printed; raise MatrixError where it fails."""
        done = subprocess.run(
            self.inside(*command), input=stdin, text=True, capture_output=True, timeout=120, check=False
        )
        if done.returncode != 0:
            raise MatrixError(f"{self.name}: {' '.join(command)[:200]}: {done.stderr.strip()}")
        return done.stdout

    def look(self, mode: str = "full") -> dict[str, Any]:
        """Return the host's state as host/look.py describes it."""
        said = self.do("python3", "-I", "-", mode, json.dumps(self.health), stdin=LOOK.read_text("utf-8"))
        seen: dict[str, Any] = json.loads(said)
        return seen

    def logs_in(self) -> bool:
        """Return whether somebody can log in over SSH."""
        done = subprocess.run(self.host.ssh("true"), capture_output=True, timeout=30, check=False)
        return done.returncode == 0

    # --- power and disk

    def shut_down(self) -> None:
        """Switch the host off in order, and unmount its disk."""
        subprocess.run(self.inside("systemctl", "poweroff"), capture_output=True, timeout=60, check=False)
        end = time.monotonic() + 60
        while cgroups.processes(self.host.id):
            if time.monotonic() > end:
                raise MatrixError(f"{self.name} does not shut down")
            time.sleep(0.2)
        lab.kill(self.name)
        # A host that ends in order leaves its swap on, which holds the disk unseen.
        removal.swap_off(self.host.root)
        self.unmount()

    def power_cut(self) -> None:
        """Take the power away: what was not on the disk yet never gets there."""
        lab.kill(self.name)
        stop_disk(self.host.root)
        self.unmount()

    def unmount(self) -> None:
        """Unmount the disk and wait until the kernel has let go of it: before, its file is not complete."""
        root = self.host.root
        end = time.monotonic() + 30
        while root.is_mount() or self.attached():
            if root.is_mount():
                # A dead host's own mounts may keep it busy for a moment.
                succeeds("umount", root)
            if time.monotonic() > end:
                raise MatrixError(f"{self.name}: its disk cannot be unmounted")
            time.sleep(0.05)

    def attached(self) -> bool:
        """Return whether a loop device still stands for the disk's file."""
        disk = str(self.host.directory / "disk.ext4")
        for path in Path("/sys/block").glob("loop*/loop/backing_file"):
            # Devices go while they are listed.
            with contextlib.suppress(OSError):
                if path.read_text(encoding="utf-8").strip().removesuffix(" (deleted)") == disk:
                    return True
        return False

    def save(self) -> None:
        """Keep the disk as it is; the host must be off."""
        run("cp", "--sparse=always", "--reflink=auto", self.host.directory / "disk.ext4", self.saved)

    def restore(self) -> None:
        """Start the host from the saved disk, whatever it is doing."""
        lab.kill(self.name)
        disk = self.host.directory / "disk.ext4"
        disk.unlink()
        self.unmount()
        run("cp", "--sparse=always", "--reflink=auto", self.saved, disk)
        lab.boot(self.name)


def stop_disk(root: Path) -> None:
    """Stop a mounted ext4 at once, without writing what it still holds in memory."""
    with (root / "etc" / "hostname").open("rb") as file:
        fcntl.ioctl(file, FS_IOC_SHUTDOWN, NO_LOG_FLUSH.to_bytes(4, "little"))
