"""Make the artefact: the one archive that a release is made from, the same bytes wherever it is made."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import os
import posixpath
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from artefact.commit import Commit, commit
from artefact.parts import Entry, Part, content_digest, part, unmatched
from artefact.tree import ArtefactError, wanted

__all__ = [
    "Artefact", "ArtefactError", "Commit", "Entry", "Part", "build", "commit", "commit_once",
    "default_cache", "once", "part", "unmatched",
]  # fmt: skip

KEPT_ARCHIVES = 10


@dataclass(frozen=True)
class Artefact:
    """
    One archive: `digest` is the tree's identity, `sha256` that of the file as it is sent.

    The digest covers each file's path, mode and content, and nothing else: no times, no owners and no
    compression, so two machines with different versions of tar or zlib agree on it. `entries` are what
    it is made of, in order of their paths; `size` is the file's, in bytes.
    """

    path: Path
    digest: str
    sha256: str
    entries: tuple[Entry, ...]
    size: int

    @property
    def files(self) -> tuple[str, ...]:
        """The paths of all entries."""
        return tuple(entry.path for entry in self.entries)


def build(source: Path, *, cache: Path | None = None) -> Artefact:
    """
    Make, or find in the cache, the artefact of an application's directory.

    Takes what git would track (tracked and new files, `.gitignore` respected), or outside a git work
    tree every file that the `.gitignore` files below `source` do not name; never secrets, caches or
    virtual environments (`tree.NEVER`, and any directory with a `pyvenv.cfg`), nor empty directories.

    + source: the application's directory
    + cache: where archives are kept, the newest 10 of them; default `$XDG_CACHE_HOME/hostwright/artefacts`

    Raises ArtefactError where there is no directory, nothing to send, a link that leaves the tree, a
    path that is neither file nor link, a file that changed while it was read, or a repository that git
    refuses to look into.

    Example: `artefact.build(Path("examples/rec_io")).digest`
    """
    root = source.absolute()
    if not root.is_dir():
        raise ArtefactError(f"artefact: {source} is not a directory; `source` is the application's directory")
    entries = [_entry(root, path) for path in sorted(wanted(root))]
    if not entries:
        raise ArtefactError(f"artefact: {source} has no file to send; look at its .gitignore files")
    digest = content_digest(entries)
    archive = (cache or default_cache()) / f"{digest}.tar.gz"
    if archive.exists():
        os.utime(archive)  # the newest are kept, and this one is in use
    else:
        archive.parent.mkdir(parents=True, exist_ok=True)
        _write(root, entries, archive)
        _prune(archive.parent)
    sha256 = _sha256(archive)
    return Artefact(archive, digest, sha256, tuple(entries), archive.stat().st_size)


@functools.cache
def once(source: Path) -> Artefact:
    """Make the artefact once in this process, so that every host of a run gets the same one."""
    return build(source)


commit_once = functools.cache(commit)


def default_cache() -> Path:
    """Return the directory that archives are kept in."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "hostwright" / "artefacts"


def _entry(root: Path, path: str) -> Entry:
    full = root / path
    if not path.isprintable():  # line breaks, control characters, and bytes that are not UTF-8
        raise ArtefactError(f"artefact: the file name {path!r} is not printable text; rename it")
    if full.is_symlink():
        target = str(full.readlink())
        # Once as the words say, once as the disk has it: a link through another link must not leave either.
        worded = posixpath.normpath(str(PurePosixPath(path).parent / target))
        if worded.split("/")[0] in {"", ".."} or not full.resolve().is_relative_to(root.resolve()):
            raise ArtefactError(f"artefact: the link {path} → {target} leaves {root}; put the file there")
        return Entry(path, 0o777, target, 0)
    if not full.is_file():
        raise ArtefactError(f"artefact: {path} is neither a file nor a link; move it out of {root}")
    status = full.stat()
    return Entry(path, 0o755 if status.st_mode & 0o100 else 0o644, _sha256(full), status.st_size)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class _Reader(io.RawIOBase):
    """Pass a file through while its digest is made, so that what was sent is what was counted."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("rb")
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        block = self.file.read(size)
        self.digest.update(block)
        return block

    def close(self) -> None:
        self.file.close()
        super().close()


def _write(root: Path, entries: list[Entry], archive: Path) -> None:
    descriptor, aside = tempfile.mkstemp(dir=archive.parent, prefix=".new-")
    try:
        with (
            os.fdopen(descriptor, "wb") as raw,
            gzip.GzipFile(filename="", fileobj=raw, mode="wb", compresslevel=6, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8") as tar,
        ):
            for entry in entries:
                _add(root, entry, tar)
        Path(aside).replace(archive)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def _add(root: Path, entry: Entry, tar: tarfile.TarFile) -> None:
    member = tarfile.TarInfo(entry.path)  # times and owners are 0 unless set
    member.mode = entry.mode
    if entry.is_link:
        member.type, member.linkname = tarfile.SYMTYPE, entry.content
        tar.addfile(member)
        return
    member.size = entry.size
    changed = f"artefact: {entry.path} changed while the archive was made; run again"
    with _Reader(root / entry.path) as reader:
        try:
            tar.addfile(member, reader)
        except OSError as error:  # shorter than it was
            raise ArtefactError(changed) from error
        if reader.read(1) or reader.digest.hexdigest() != entry.content:
            raise ArtefactError(changed)


def _prune(cache: Path) -> None:
    archives = sorted(cache.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in archives[KEPT_ARCHIVES:]:
        old.unlink(missing_ok=True)
