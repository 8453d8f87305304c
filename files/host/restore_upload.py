# What was brought to this host from elsewhere, in whichever of pg_dump's formats. A part of restore-*.py.
import gzip
import json
import os
import shutil
import subprocess
import tarfile

from restore_common import READER, FailedError, clean, environment, megabytes, tool
from restore_files import about, digest, fits, old_enough, verify
from restore_sql import Plain

CUSTOM = b"PGDMP"
ROOM = 1 << 28  # left free by what is unpacked


def is_tar(head):
    return head[257:262] == b"ustar"


def kind_of(path):
    """Return custom, tar (any tar) or sql, by what the file begins with."""
    with open(path, "rb") as file:
        head = file.read(512)
    packed = head[:2] == b"\x1f\x8b"
    if packed:
        try:
            with gzip.open(path) as file:
                head = file.read(512)
        except (OSError, EOFError) as error:
            raise FailedError(f"the file is damaged: {error}; copy it again") from None
    if head[:5] == CUSTOM:
        if packed:
            raise FailedError("the file is a dump in custom format, packed once more; gunzip it first")
        return "custom"
    return "tar" if is_tar(head) else "sql"


def unpack(path, target):
    """Unpack a tar's plain files; return the directory that has toc.dat."""
    shutil.rmtree(target, ignore_errors=True)
    os.mkdir(target, 0o700)
    found = []
    try:
        with tarfile.open(path, "r:*") as archive:
            for member in archive:
                parts = member.name.split("/")
                if member.name.startswith("/") or ".." in parts:
                    raise FailedError(f"the tar has {member.name!r}, which leads out of it")
                if not member.isfile():
                    continue
                place = os.path.join(target, *parts)
                os.makedirs(os.path.dirname(place), exist_ok=True)
                has_room(target, member.size)
                with archive.extractfile(member) as source, open(place, "wb") as file:
                    shutil.copyfileobj(source, file, 1 << 20)
                if parts[-1] == "toc.dat":
                    found.append(os.path.dirname(place))
            # tarfile takes half a header for the end.
            archive.fileobj.seek(archive.offset)
            if archive.fileobj.read(512) != bytes(512):
                raise EOFError("its end is missing")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise FailedError(f"the tar is damaged or cut off: {error}; copy it again") from None
    if len(found) != 1:
        raise FailedError(f"the tar has {len(found)} archives of pg_dump (a toc.dat each); one is needed")
    return found[0]


def has_room(directory, size):
    found = os.statvfs(directory)
    if found.f_bavail * found.f_frsize < size + ROOM:
        raise FailedError(f"{directory} has not the room for {megabytes(size)} more: df -h {directory}")


def read_through(path):
    """Have pg_restore read all of an archive: its table of contents is whole in one that is cut in half."""
    done = subprocess.run(
        [*READER, tool("pg_restore"), "-f", "/dev/null", path],
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    if done.returncode != 0:
        raise FailedError(f"the archive is damaged, cut off, or too new: {clean(done.stderr)}")


def contents(path):
    """Return the lines of an archive's table of contents."""
    done = subprocess.run(
        [*READER, tool("pg_restore"), "-l", path], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise FailedError(f"this is no archive that PostgreSQL here can read: {clean(done.stderr)}")
    return done.stdout.splitlines()


def dumped_from(lines):
    # ";     Dumped from database version: 15.18 (Debian 15.18-0+deb12u1)"
    found = [
        line.partition("version: ")[2].split(" ")[0] for line in lines if "from database version" in line
    ]
    return found[0] if found else None


def located(upload):
    """Return what the upload became when it was checked: kind, path, and backup.json's content or None."""
    with open(upload + ".json", encoding="utf-8") as file:
        return json.load(file)


def check(spec, server):
    """Read all of an upload, refuse what is not whole or not for this host, and remember what it is."""
    upload = spec["upload"]
    if digest(upload) != spec["sha256"]:
        raise FailedError("the upload is not what was sent: its checksum differs; run again")
    found = {"kind": kind_of(upload), "path": upload, "backup": None, "version": None}
    if found["kind"] == "tar":
        place = unpack(upload, upload + ".unpacked")
        if os.path.exists(place + "/restore.sql"):
            shutil.rmtree(place)  # pg_dump -Ft: pg_restore reads the tar itself
        else:
            found.update(kind="directory", path=place)
            above = os.path.dirname(place)
            if os.path.exists(above + "/backup.json"):
                found["backup"] = about(above)
                fits(found["backup"], spec["app"])
                verify(above, found["backup"]["files"])
    if found["kind"] == "sql":
        plain = Plain(upload)
        found["size"] = sum(len(line) for line in plain.lines())
        found["version"] = plain.version
    else:
        found["version"] = dumped_from(contents(found["path"]))
        if found["backup"] is None:
            read_through(found["path"])
    if found["version"] is not None:
        old_enough(found["version"], server)
    return found
