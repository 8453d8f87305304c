# Make one release from an archive, aside, and rename it into place when all of it is on the disk.
# usage: release-unpack.py APP_DIR RELEASE ARCHIVE SHA256 IDENTITY VALIDATE
# VALIDATE is a shell command that finds the release in $RELEASE while it is aside; "" for none.
# Standard input: {"files": {relative path: text}, "links": {relative path: absolute target},
#                  "parts": {part: code}, "about": what the release says of itself}
import compileall
import hashlib
import io
import json
import os
import posixpath
import shutil
import subprocess
import sys
import tarfile

app_dir, release, archive, sha256, identity, validate = sys.argv[1:]
releases = os.path.join(app_dir, "releases")
final = os.path.join(releases, release)
aside = os.path.join(releases, f".{release}.new")
PLACEHOLDERS = {".gitkeep", ".gitignore", ".keep"}
BLOCK = 4096
# What logs and databases of the host go on needing.
RESERVE = 64 << 20


class RefusedError(Exception):
    """Something in the archive or the input cannot become part of a release."""


def check_arrival():
    digest = hashlib.sha256()
    try:
        with open(archive, "rb") as file:
            for block in iter(lambda: file.read(1 << 20), b""):
                digest.update(block)
    except FileNotFoundError:
        raise RefusedError("the archive did not arrive; run again") from None
    if digest.hexdigest() != sha256:
        os.unlink(archive)  # or the next run would go on from it
        raise RefusedError("the archive arrived damaged, and was removed; run again, it is sent anew")


def check_room():
    """Refuse what would fill the disk: a database beside it stops when it cannot write."""
    with tarfile.open(archive, "r:gz", encoding="utf-8") as tar:
        needed = sum(-(-member.size // BLOCK) * BLOCK + BLOCK for member in tar)
    found = os.statvfs(releases)
    free = found.f_bavail * found.f_frsize
    if free < needed + RESERVE:
        raise RefusedError(
            f"the disk of {releases} has {free >> 20} MB free, and this takes {needed >> 20} MB and "
            f"{RESERVE >> 20} MB to spare; make room (apt-get clean, journalctl --vacuum-size=100M)"
        )


def place(path):
    """Return the absolute place of a relative path in the new release, its directories made."""
    if path.startswith("/") or ".." in path.split("/") or posixpath.normpath(path) != path:
        raise RefusedError(f"{path!r} does not stay within the release")
    full = os.path.join(aside, path)
    os.makedirs(os.path.dirname(full), mode=0o755, exist_ok=True)
    return full


def write(path, source, mode):
    full = place(path)
    try:
        with open(full, "xb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
            os.fchmod(file.fileno(), mode)
    except FileExistsError:
        raise RefusedError(f"{path} is in the application's tree already; rename it there") from None


def link(path, target):
    full = place(path)
    if os.path.isdir(full) and not os.path.islink(full) and set(os.listdir(full)) <= PLACEHOLDERS:
        shutil.rmtree(full)  # a directory that git would not keep empty
    try:
        os.symlink(target, full)
    except FileExistsError:
        raise RefusedError(f"{path} is in the application's tree, and is to be a link to {target}") from None


def unpack(given):
    links, found = [], []
    with tarfile.open(archive, "r:gz", encoding="utf-8") as tar:
        for member in tar:
            found.append(member.name)
            if member.issym():
                links.append((member.name, member.linkname))
            elif member.isreg():
                write(member.name, tar.extractfile(member), 0o755 if member.mode & 0o100 else 0o644)
            else:
                raise RefusedError(f"{member.name} is neither a file nor a link")
    # A service configuration of the application's own beside ours would be run with them.
    theirs = {posixpath.dirname(name) for name in found}
    for path in given["files"]:
        if posixpath.dirname(path) in theirs - {""}:
            raise RefusedError(
                f"{posixpath.dirname(path)}/ is in the application's tree already; rename it there"
            )
    # Links last: no file is ever written through one.
    for path, text in given["files"].items():
        write(path, io.BytesIO(text.encode()), 0o644)
    for path, target in [*links, *given["links"].items()]:
        link(path, target)
    with open(os.path.join(aside, ".hostwright.json"), "w", encoding="utf-8") as file:
        about = {"parts": given["parts"], "about": given["about"]}
        json.dump({"identity": identity, "archive": sha256, **about}, file)
    # Services may not write here: without this, each of them compiles everything at each start.
    compileall.compile_dir(aside, quiet=2, ddir=final)


def check():
    done = subprocess.run(
        ["sh", "-c", validate], env={**os.environ, "RELEASE": aside}, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RefusedError((done.stdout + done.stderr).strip() or "it was refused by: " + validate)


def main():
    os.umask(0o022)
    check_arrival()
    given = json.load(sys.stdin)
    os.makedirs(releases, mode=0o755, exist_ok=True)
    shutil.rmtree(aside, ignore_errors=True)  # what an earlier, interrupted run left behind
    check_room()
    os.mkdir(aside, 0o755)
    unpack(given)
    if validate:
        check()
    subprocess.run(["sync", "-f", aside], check=True)
    os.rename(aside, final)
    subprocess.run(["sync", releases], check=True)
    shutil.rmtree(os.path.dirname(archive))
    if not os.listdir(os.path.dirname(os.path.dirname(archive))):
        os.rmdir(os.path.dirname(os.path.dirname(archive)))


try:
    main()
except (RefusedError, OSError, tarfile.TarError, ValueError) as error:
    shutil.rmtree(aside, ignore_errors=True)
    print(f"release {release}: {error}", file=sys.stderr)
    print(f"release {release}: nothing was changed; {app_dir}/current is what it was", file=sys.stderr)
    sys.exit(1)
