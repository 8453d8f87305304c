"""Virtual environments, one for each list of requirements: built once, shared by releases, never changed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.script import script
from facts.venv import Venvs
from operations.differences import differs

REMEDY = "make the list with: uv pip compile --generate-hashes requirements.in -o requirements.txt"


def digest(requirements: str) -> str:
    """
    Return the name of the virtual environment for these requirements: 16 hexadecimal digits.

    It is known before the host is. The host's Python version is kept in the environment instead, and
    one made for another version is built anew under the same name.
    """
    return hashlib.sha256(requirements.encode()).hexdigest()[:16]


def lines(requirements: str) -> list[str]:
    """Return the requirements one a line: continued lines joined, comments and blank lines gone."""
    joined = re.sub(r"\\\n[ \t]*", " ", requirements)
    return [line for text in joined.splitlines() if (line := re.sub(r"(^|\s)#.*$", "", text).strip())]


def findings(requirements: str, *, hashes: bool = True) -> list[str]:
    """Say what is wrong with a list of requirements, one sentence each; empty where nothing is."""
    found = []
    for line in lines(requirements):
        if re.match(r"(-r|-c|-e|--requirement|--constraint|--editable)\b", line):
            found.append(f"{line!r} needs another file on the host; write the packages themselves")
        elif re.search(r"://[^/\s]*@", line):
            found.append("a line has a password in its address; keep it in the host's pip.conf")
        elif re.match(r"(\.{0,2}/|file:)", line) or "@ file:" in line:
            found.append(f"{line!r} is a path on one machine; name a package")
        elif hashes and not line.startswith("-") and "--hash=" not in line:
            found.append(f"{line.split(';')[0].strip()!r} has no hash; {REMEDY}")
    return found


@operation()
def built(
    app_dir: str,
    requirements: str,
    *,
    hashes: bool = True,
    sdists: bool = False,
    build_user: str | None = None,
    python: str = "/usr/bin/python3",
) -> Generator[StringCommand, None, None]:
    """
    Build the virtual environment for a list of requirements, at `venvs/<digest>` below the app.

    It counts only when its last file is written, and a half-built one is removed first. All of it
    belongs to root, with its bytecode made: services read it and never write it. Uses uv where the host
    has it, else the pip that comes with the interpreter, and the host's own pip.conf; what was downloaded
    is kept in /var/cache/hostwright. Neither pip nor setuptools is in it unless the requirements name it.

    + app_dir: the app's directory, such as "/opt/rec_io"
    + requirements: the text of requirements.txt
    + hashes: insist on a hash for each package, default True
    + sdists: allow packages that are built from source on the host, default False
    + build_user: who builds those, since their code runs then; needed with sdists, never root
    + python: the interpreter, default /usr/bin/python3

    Does not look into an environment that is whole: what root changes in it stays.

    Raises OperationError for requirements without hashes, or that need other files; a failed install
    fails the operation with the installer's own words.

    Example: `venv.built(name="Install the app's packages", app_dir="/opt/rec_io", requirements=text)`
    """
    for problem in findings(requirements, hashes=hashes)[:1]:
        raise OperationError(f"venv: {problem}")
    if sdists and build_user in {None, "root"}:
        raise OperationError(
            "venv: sdists run code of packages as they are built; name a build_user, not root"
        )
    for path in (app_dir, python):
        if re.fullmatch(r"(/[A-Za-z0-9_][A-Za-z0-9._-]*)+", path) is None:
            raise OperationError(
                f"venv: {path!r} is not usable as a path; write an absolute one like /opt/rec_io"
            )
    wanted = digest(requirements)
    state = host.get_fact(Venvs, app_dir=app_dir, python=python)
    if wanted in state["venvs"] and state["venvs"][wanted] == state["python"]:
        host.noop(f"venv {wanted} is already built for Python {state['python']}")
        return
    differs(
        f"{app_dir}/venvs/{wanted}",
        expected=f"built for Python {state['python']}",
        found=f"built for Python {state['venvs'][wanted]}" if wanted in state["venvs"] else "none",
    )
    options = [
        *(["--require-hashes"] if hashes else []),
        *([] if sdists else ["--only-binary", ":all:"]),
    ]
    user = build_user if sdists and build_user is not None else "root"
    yield script("venv-build.py", app_dir, wanted, python, user, *options, stdin=requirements)
