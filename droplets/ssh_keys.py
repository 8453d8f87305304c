"""Which SSH keys a droplet gets: those of the account, and public key files, uploaded if missing."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import struct
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from droplets.api import Api
from droplets.errors import DropletsError, LostError, RefusedError

KINDS = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+")
FINGERPRINT = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){15}")


@dataclass(frozen=True)
class Key:
    """
    One SSH key.

    + label: its name at DigitalOcean
    + public: the line that goes into authorized_keys
    + fingerprint: MD5, as DigitalOcean tells it
    + known: whether the account has it, default True
    """

    label: str
    public: str
    fingerprint: str
    known: bool = True


def of_file(path: Path) -> Key:
    """Read a public key file; raise DropletsError for another kind of file, whose text is not shown."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DropletsError(f"--key {path}: cannot be read: {error}") from None
    kind, _, rest = text.partition(" ")
    encoded, _, comment = rest.partition(" ")
    remedy = f"write the public one, such as {path.with_suffix('.pub').name}"
    if "PRIVATE KEY" in text:
        raise DropletsError(f"--key {path}: is a private key; {remedy}")
    try:
        blob = base64.b64decode(encoded, validate=True)
        (length,) = struct.unpack(">I", blob[:4])
    except (binascii.Error, struct.error):
        blob, length = b"", 0
    if "\n" in text or not KINDS.fullmatch(kind) or blob[4 : 4 + length] != kind.encode():
        raise DropletsError(f"--key {path}: is no public key; {remedy}")
    return Key(comment or path.stem, text, _fingerprint(blob), known=False)


def chosen(words: Iterable[str], account: Sequence[Mapping[str, Any]]) -> list[Key]:
    """
    Return the keys that are meant.

    + words: fingerprints or names of keys of the account, or public key files
    + account: its keys, as the API gives them

    Raises DropletsError for a word that is none of them, or the name of several.
    """
    known = [
        Key(str(one.get("name")), str(one.get("public_key")).strip(), str(one.get("fingerprint")))
        for one in account
    ]
    found: list[Key] = []
    for word in words:
        path = Path(word).expanduser()
        if FINGERPRINT.fullmatch(word):
            meant = [one for one in known if one.fingerprint == word]
        elif path.is_file():
            read = of_file(path)
            meant = [one for one in known if one.fingerprint == read.fingerprint] or [read]
        else:
            meant = [one for one in known if one.label == word]
            if len(meant) > 1:
                prints = " and ".join(one.fingerprint for one in meant)
                raise DropletsError(f"--key {word}: is the name of several keys; write one of {prints}")
        if not meant:
            names = ", ".join(sorted(one.label for one in known)) or "none"
            raise DropletsError(
                f"--key {word}: is no file here and no key of the account, which has: {names}; "
                "write a public key file, and it is uploaded"
            )
        if meant[0].fingerprint not in [one.fingerprint for one in found]:
            found.append(meant[0])
    return found


def uploaded(api: Api, key: Key, sleep: Callable[[float], None] = time.sleep) -> None:
    """Upload a key; where that was not answered, or was done meanwhile, look whether it is there now."""
    try:
        api.add_key(key.label, key.public)
    except (LostError, RefusedError) as error:
        for pause in (0, 1, 2):
            sleep(pause)
            there = api.keys()
            if any(one.get("fingerprint") == key.fingerprint for one in there):
                return
            if isinstance(error, RefusedError):
                break
        raise


def _fingerprint(blob: bytes) -> str:
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))
