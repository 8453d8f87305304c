"""Releases: unpacked whole or not at all, never changed afterwards, switched by rename, pruned."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator, Mapping, Sequence
from pathlib import PurePosixPath

from pyinfra import host
from pyinfra.api import FunctionCommand, OperationError, StringCommand, operation

from facts.release import About, Releases, ReleaseState
from facts.script import script
from operations import upload
from operations.differences import differs

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
PART = re.compile(r"[0-9a-f]{12}")


def identity(digest: str, files: Mapping[str, str], links: Mapping[str, str]) -> str:
    """
    Return the digest of all that a release is made from: it tells two releases apart.

    Use its first characters as the release's name: then what is deployed already is never sent again,
    and a changed service configuration is a release of its own. Where the rendered files hold the
    release's own path, render them once with a stand-in for the name to get the name.

    + digest: of the archive's content, `Artefact.digest`
    + files: relative path to text, as rendered
    + links: relative path to absolute target
    """
    text = json.dumps([digest, dict(files), dict(links)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def lacking(state: ReleaseState, release: str) -> list[str]:
    """Return the parts of a release that lead nowhere: missing links, and links to what is gone."""
    return [part for part in state["releases"][release]["parts"] if state["parts"].get(part) is None]


def surplus(state: ReleaseState, keep: int, protect: Sequence[str] = ()) -> list[str]:
    """Return what may go, relative to the app's directory: parts, releases, venvs, then leftovers."""
    releases, in_use = state["releases"], {*state["in_use"]}
    newest = sorted(releases, key=lambda name: releases[name]["made"], reverse=True)
    kept = {state["current"], state["previous"], *in_use, *protect}
    kept.update([name for name in newest if name != state["current"]][:keep])
    # What a rollback goes to, however many that failed were made since.
    kept.update([name for name in state["good"] if name in releases and name != state["current"]][-1:])
    parts = {part for name in releases if name in kept for part in releases[name]["parts"]} | in_use
    # Where the files of those parts lie. What only these refer to may go: a switch to one makes it anew.
    kept.update(state["parts"].get(part) for part in parts)
    venvs = {venv for name in releases if name in kept for venv in releases[name]["venvs"]}
    return [
        *(f"parts/{name}" for name in state["parts"] if name not in parts),
        *(f"releases/{name}" for name in newest if name not in kept),
        *(f"venvs/{name}" for name in state["venvs"] if name not in venvs | in_use),
        *state["leftovers"],
    ]


@operation()
def unpacked(
    app_dir: str,
    release: str,
    archive: str,
    sha256: str,
    *,
    digest: str | None = None,
    files: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
    parts: Mapping[str, str] | None = None,
    about: About | None = None,
    validate: str | None = None,
) -> Generator[StringCommand | FunctionCommand, None, None]:
    """
    Make a release on the host from an archive of `artefact.build`, once.

    The archive is sent as one file to a directory that only the login can enter, going on from where an
    earlier run was cut off, checked by digest, unpacked aside, and renamed to `releases/<release>` when
    all of it is on the disk. All of it belongs to root: the service user reads it and cannot change it.

    + app_dir: the app's directory, such as "/opt/rec_io"
    + release: name of the release, the same on every host of a run
    + archive: path of the archive on this machine
    + sha256: digest of the archive as it is sent
    + digest: what tells its content from another's, default sha256; give `Artefact.digest`, which does
      not change with the compression
    + files: rendered files that join the release, relative path to text, mode 0644, default none; not
      for secrets
    + links: links that join it, relative path to absolute target, default none
    + parts: what its services stand in, each an `artefact.Part`: name to code, default none; `current`
      makes `parts/<name>` lead to the release in which these files first came
    + about: what the release says of itself, for people and for `facts.release`; no part of its identity,
      so that of the run that made it stays; default none
    + validate: shell command that must exit 0 before the release counts; `$RELEASE` is where it lies
      until then, default none

    Does not repair a release whose files were changed on the host by root.

    Raises OperationError for a name or path that is not one, and where the host has a release of that
    name made from something else.

    Example:

        release.unpacked(
            name="Unpack release 3f9c2a71",
            app_dir="/opt/rec_io",
            release="3f9c2a71",
            archive=str(made.path),
            sha256=made.sha256,
            digest=made.digest,
            links={"venv": f"/opt/rec_io/venvs/{lock}", "logs": "/opt/rec_io/shared/logs"},
            validate=supervisor.program_check(),
        )
    """
    _check(app_dir, release)
    files, links = files or {}, links or {}
    for path in [*files, *links]:
        _check_inner(path)
    for part in parts or {}:
        if PART.fullmatch(part) is None:
            raise OperationError(
                f"release: the part {part!r} is not named by 12 hex digits; use artefact.part"
            )
    for path, target in links.items():
        if not target.startswith("/"):
            raise OperationError(f"release: {path} → {target!r}: a link's target must be absolute")
    wanted = identity(digest or sha256, files, links)
    there = host.get_fact(Releases, app_dir=app_dir)["releases"].get(release)
    if there is not None and there["identity"] == wanted:
        host.noop(f"release {release} is already in {app_dir}")
        return
    if there is not None:
        raise OperationError(
            f"release: {app_dir} has a release {release} made from something else; a release never "
            "changes, give this one a name of its own"
        )
    differs(f"{app_dir}/releases/{release}", expected="there", found="none")
    app = PurePosixPath(app_dir).name
    given = {"files": dict(files), "links": dict(links), "parts": dict(parts or {}), "about": about}
    yield upload.archive(archive, app, sha256)
    yield script(
        "release-unpack.py", app_dir, release, upload.place(app, sha256), sha256, wanted, validate or "",
        stdin=json.dumps(given),
    )  # fmt: skip


@operation()
def current(app_dir: str, release: str) -> Generator[StringCommand, None, None]:
    """
    Switch `current` to a release that is on the host, by rename; `previous` is the one before.

    First each part of the release gets its link in `parts/`, unless it has one: a link that leads to a
    release with these files is never changed, one that leads nowhere is made anew.

    + app_dir: the app's directory, such as "/opt/rec_io"
    + release: name of the release

    Restarts nothing: `supervisor.updated` does.

    Raises OperationError for a name or path that is not one.

    Example: `release.current(name="Switch to release 3f9c2a71", app_dir="/opt/rec_io", release="3f9c2a71")`
    """
    _check(app_dir, release)
    state = host.get_fact(Releases, app_dir=app_dir)
    if state["current"] == release and release in state["releases"] and not lacking(state, release):
        host.noop(f"{app_dir}/current is already release {release}")
        return
    differs(
        f"{app_dir}/current",
        expected=f"release {release}, with all its parts",
        found="none" if state["current"] is None else f"release {state['current']}",
    )
    yield script("release-current.py", app_dir, release)


@operation()
def pruned(
    app_dir: str, *, keep: int = 4, protect: Sequence[str] = ()
) -> Generator[StringCommand, None, None]:
    """
    Remove old releases, the parts and virtual environments only they used, and what interrupted runs left.

    Never the current release, the one before it, one that a running process was started from, one that
    holds the files of a part of any of those, or a virtual environment that any of those links to.

    + app_dir: the app's directory, such as "/opt/rec_io"
    + keep: how many releases stay besides the current one, the newest first, default 4
    + protect: names of more releases that stay, default none; those that are not there are passed over

    Raises OperationError for a relative directory or a negative number.

    Example: `release.pruned(name="Keep four releases to go back to", app_dir="/opt/rec_io")`
    """
    _check(app_dir)
    if keep < 0:
        raise OperationError(f"release: keep is {keep}; write how many releases stay, 0 or more")
    for one in protect:
        _check(app_dir, one)
    gone = surplus(host.get_fact(Releases, app_dir=app_dir), keep, protect)
    if not gone:
        host.noop(f"{app_dir} has nothing to prune")
        return
    for one in gone:
        differs(f"{app_dir}/{one}", expected=f"pruned: {keep} releases are kept", found="there")
    yield script("release-prune.sh", app_dir, *gone)


def _check(app_dir: str, release: str = "x") -> None:
    if not re.fullmatch(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)+", app_dir):
        raise OperationError(f"release: app_dir {app_dir!r} is not usable; write it like /opt/rec_io")
    if NAME.fullmatch(release) is None:
        raise OperationError(f"release: the name {release!r} has more than letters, digits, '.', '_', '-'")


def _check_inner(path: str) -> None:
    parts = path.split("/")
    if not path.isprintable() or {"", ".", ".."} & set(parts) or parts == [".hostwright.json"]:
        raise OperationError(f"release: {path!r} is no path within a release, such as supervisor/web.conf")
