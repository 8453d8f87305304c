"""What a file or directory on this machine is, as far as it can be told before it is sent anywhere. Pure."""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from operations.restore_encrypted import EncryptedError, decrypted, is_encrypted

BLOCK = 1 << 20
TAIL = 8192


class SourceError(Exception):
    """It is nothing that can be restored; the text says why and what to do."""


@dataclass(frozen=True)
class Source:
    """
    A dump on this machine.

    + path: what is sent; of a directory a tar of it
    + kind: "sql", "custom" or "tar"
    + backup: content of backup.json where it is a whole backup, default none
    """

    path: Path
    kind: str
    backup: dict[str, Any] | None = None


def inspect(given: Path, *, app: str, place: Path, identity: Path | None = None) -> Source:
    """
    Read enough of a dump to refuse what is none, or only a part of one.

    + given: file or directory
    + app: name of the app that it is for
    + place: directory for a tar of a directory, and for what was decrypted
    + identity: file with the private key of an encrypted copy, default none

    Raises SourceError.

    Example: `inspect(Path("rec_io.dump"), app="rec_io", place=Path("/tmp/x"))`
    """
    if given.is_dir():
        return _directory(given, app, place)
    if not given.is_file():
        raise SourceError(
            f"{given} does not exist; name a dump on this machine, or a stamp of a backup on the host"
        )
    with given.open("rb") as file:
        head = file.read(512)
    if not head:
        raise SourceError(f"{given} is empty; copy it again")
    if is_encrypted(head):
        try:
            return inspect(decrypted(given, identity=identity, place=place), app=app, place=place)
        except EncryptedError as problem:
            raise SourceError(str(problem)) from None
    packed = head[:2] == b"\x1f\x8b"
    if packed:
        head = _gzip_head(given)
    if head[:5] == b"PGDMP":
        if packed:
            raise SourceError(f"{given} is a dump in custom format, packed once more; gunzip it first")
        return Source(given, "custom")
    if head[257:262] == b"ustar":
        return _tar(given, app)
    if b"\0" in head:
        raise SourceError(f"{given} is no dump of PostgreSQL: neither SQL nor an archive of pg_dump")
    _plain(given, packed)
    return Source(given, "sql")


def _gzip_head(path: Path) -> bytes:
    """Read a gzipped file to its end, where its checksum is, and return how it begins."""
    try:
        with gzip.open(path) as file:
            head = file.read(512)
            while file.read(BLOCK):
                pass
    except (OSError, EOFError) as error:
        raise SourceError(f"{path} is damaged or cut off: {error}; copy it again") from None
    return head


def _plain(path: Path, packed: bool) -> None:
    """Refuse plain SQL of pg_dump without its last words."""
    with gzip.open(path) if packed else path.open("rb") as file:
        head = file.read(TAIL)
        tail = head
        if packed:
            while block := file.read(BLOCK):
                tail = (tail + block)[-TAIL:]
        else:
            file.seek(max(0, path.stat().st_size - TAIL), io.SEEK_SET)
            tail = file.read()
    if b"-- PostgreSQL database cluster dump" in head:
        raise SourceError(f"{path} is of a whole server (pg_dumpall); dump the one database by pg_dump")
    if b"-- PostgreSQL database dump\n" in head and b"-- PostgreSQL database dump complete" not in tail:
        raise SourceError(f"{path} ends in the middle: it is only a part of a dump; copy it again")


def _block_at(file: Any, offset: int) -> bytes:
    file.seek(offset)
    found: bytes = file.read(512)
    return found


def _tar(path: Path, app: str) -> Source:
    try:
        with tarfile.open(path) as archive:
            members = {member.name.removeprefix("./"): member for member in archive}
            tops = [name for name in members if name.split("/")[-1] == "toc.dat"]
            above = [name for name in members if name.split("/")[-1] == "backup.json"]
            file = archive.extractfile(members[above[0]]) if above else None
            backup = json.loads(file.read()) if file is not None else None
            # tarfile takes half a header for the end.
            if archive.fileobj is None or _block_at(archive.fileobj, archive.offset) != bytes(512):
                raise EOFError("its end is missing")
    except (tarfile.TarError, EOFError, OSError, ValueError, struct.error) as error:
        raise SourceError(f"{path} is a damaged tar, or cut off: {error}; copy it again") from None
    if len(tops) != 1:
        raise SourceError(
            f"{path} is a tar with {len(tops)} archives of pg_dump (a toc.dat each); one is needed"
        )
    return Source(path, "tar", _fits(backup, app))


def _directory(given: Path, app: str, place: Path) -> Source:
    dump = given / "dump" if (given / "dump").is_dir() else given
    if not (dump / "toc.dat").is_file():
        raise SourceError(f"{given} has no toc.dat: it is no dump in directory format, nor a backup with one")
    about = given / "backup.json"
    try:
        backup = json.loads(about.read_text(encoding="utf-8")) if about.is_file() else None
    except ValueError as error:
        raise SourceError(f"{about} is damaged: {error}; copy it again") from None
    backup = _fits(backup, app)
    target = place / f"{given.resolve().name}.tar"

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        # The same bytes each time, so that an upload that was cut off can be gone on with.
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = 0
        return member

    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(given.rglob("*")):
            if path.is_file():
                archive.add(path, arcname=str(path.relative_to(given)), recursive=False, filter=plain)
    return Source(target, "tar", backup)


def _fits(backup: dict[str, Any] | None, app: str) -> dict[str, Any] | None:
    if backup is not None and backup.get("app") != app:
        raise SourceError(
            f"it is a backup of {backup.get('app')!r}, not of {app!r}; say --data app={backup.get('app')}"
        )
    return backup
