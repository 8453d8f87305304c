"""Write whole files in one step: never half a file, never one that its own program refuses."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Generator

from pyinfra import host
from pyinfra.api import OperationError, StringCommand, operation

from facts.atomic import FileState
from facts.script import script
from operations.differences import File, file_differs

MODE = re.compile(r"0[0-7]{3}")


@operation()
def file(
    path: str,
    content: str,
    *,
    user: str = "root",
    group: str = "root",
    mode: str = "0644",
    validate: str | None = None,
    replace: bool = True,
) -> Generator[StringCommand, None, None]:
    """
    Write a file with this content, owner and mode, by rename, checked by its own program first.

    pyinfra's `files.put` truncates in place and sets the mode afterwards; here a reader, or a power
    cut, sees the old file or the new one. Not for secrets: `operations/secrets.py` is.

    + path: absolute path; the directory must exist
    + content: the whole text, ended by a newline
    + user: owner, default root
    + group: group, default root
    + mode: four octal digits as text, default "0644"
    + validate: shell command that must exit 0 before the file counts; `$FILE` is the new content's
      path, default none
    + replace: False leaves a file that is there alone, whatever is in it, default True

    Does not converge ACLs or extended attributes, and refuses a path that is a directory or a link.

    Raises OperationError for a relative path, a mode that is not four octal digits, or a path that is
    something else than a file.

    Example:

        atomic.file(
            name="Welcome whoever logs in",
            path="/etc/motd",
            content="This host is deployed by hostwright.\\n",
        )
    """
    if not path.startswith("/"):
        raise OperationError(f"atomic.file: path {path!r} is relative; write the absolute path")
    if not MODE.fullmatch(mode):
        raise OperationError(f'atomic.file: mode {mode!r} of {path} is not a mode; write it like "0644"')

    now = host.get_fact(FileState, path=path)
    if now is not None and now["kind"] != "regular file":
        raise OperationError(f"atomic.file: {path} is a {now['kind']}; move it away first")

    if now is not None and not replace:
        host.noop(f"{path} is there, and made only once")
        return

    body = content.encode()
    wanted = File(user=user, group=group, mode=mode, sha256=hashlib.sha256(body).hexdigest())
    there = (
        None
        if now is None
        else File(user=now["user"], group=now["group"], mode=now["mode"], sha256=now["sha256"])
    )
    if there == wanted:
        host.noop(f"{path} is already as declared")
        return
    file_differs(path, content=content, expected=wanted, found=there)
    yield script(
        "atomic-write.sh", path, user, group, mode, wanted["sha256"], validate or "",
        stdin=base64.encodebytes(body).decode(),
    )  # fmt: skip
