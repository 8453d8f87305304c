"""An encrypted copy of a backup, decrypted on this machine: its key never gets to a host."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HEADS = (b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")


class EncryptedError(Exception):
    """It could not be decrypted; the text says why and what to do."""


def is_encrypted(head: bytes) -> bool:
    """Return whether a file that begins so was encrypted by age, as binary or as text."""
    return head.startswith(HEADS)


def decrypted(given: Path, *, identity: Path | None, place: Path) -> Path:
    """
    Decrypt a copy of a backup by the program `age` of this machine.

    A key that is protected by a passphrase has age ask for it at the terminal.

    + given: the copy, such as 20261125T220000Z.tar.age
    + identity: file with the private key
    + place: directory of the caller's own, which nobody else may enter

    Raises EncryptedError without an identity, without the program, and for a copy that is damaged, cut off
    or for another key; nothing of it is left then.

    Example: `decrypted(Path("20261125T220000Z.tar.age"), identity=Path("~/key"), place=Path("/var/tmp/x"))`
    """
    if identity is None:
        raise EncryptedError(
            f"{given} is encrypted; say --data identity=PATH of the file with its private key on this machine"
        )
    key = identity.expanduser()
    if not key.is_file():
        raise EncryptedError(f"identity {identity} is no file on this machine; name the one of age-keygen")
    program = shutil.which("age")
    if program is None:
        raise EncryptedError(
            f"{given} is encrypted, and this machine has no program age; install it: apt install age"
        )
    # Its tar is as large, all but the header of each block.
    free, size = shutil.disk_usage(place).free, given.stat().st_size
    if free < size:
        raise EncryptedError(
            f"{place} has {free / 1e6:.0f} MB free, and {given} needs {size / 1e6:.0f}; make room"
        )
    target = place / (given.name.removesuffix(".age") or "copy")
    # Made first, so that not for a moment anybody else may read it.
    target.touch(mode=0o600)
    words = [program, "--decrypt", "-i", str(key), "-o", str(target), str(given.resolve())]
    done = subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        target.unlink(missing_ok=True)
        said = " ".join(done.stderr.split("\n")[0].split()) or f"it ended with {done.returncode}"
        raise EncryptedError(
            f"{given} could not be decrypted by {identity} ({said}); name its key, or copy it again"
        )
    return target
