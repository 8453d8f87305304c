"""All hosts of one run: reached at the same time, looked at once."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from declared import DeclaredHost
from tests.acceptance.remote import Remote, UnreachableError
from tests.acceptance.view import HostView

AT_ONCE = 16


class Fleet:
    """
    The hosts of one run.

    + declared: the hosts
    + directory: of this run alone; removed at the end
    """

    def __init__(self, declared: list[DeclaredHost], directory: Path) -> None:
        self.declared = declared
        self.directory = directory
        self.remotes = {one.name: Remote(one, directory) for one in declared}
        self.views = {name: HostView(remote) for name, remote in self.remotes.items()}
        self.problems: dict[str, str] = {}

    def begin(self) -> None:
        """Log in everywhere and note which processes run."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._begin, self.remotes))

    def _begin(self, label: str) -> None:
        try:
            self.remotes[label].open()
        except UnreachableError as error:
            self.problems[label] = str(error)
        else:
            self.views[label].begin()

    def close(self) -> None:
        """Close all connections."""
        for remote in self.remotes.values():
            remote.close()
        shutil.rmtree(self.directory, ignore_errors=True)
