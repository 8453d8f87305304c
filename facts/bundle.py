"""What `operations/bundle.py` reads: files that belong together, and the units that they make run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script


class BundleFields(TypedDict):
    """
    How a bundle is.

    `files`: path to "sha256", "mode" and "owner" of each file that is there. `units`: name to what keeps it
    from being as declared, "" for nothing.
    """

    files: dict[str, dict[str, str | None]]
    units: dict[str, str]


class Bundle(FactBase[BundleFields]):
    """
    Read the files and units of a bundle in one round trip; all empty on a bare host.

    + owned: absolute patterns of all files that may belong to it
    + units: name to the file in which it notes what it was started with, None for none
    """

    @override
    def requires_command(self, owned: Sequence[str], units: Mapping[str, str | None]) -> str:
        return "python3"

    @override
    def command(self, owned: Sequence[str], units: Mapping[str, str | None]) -> StringCommand:
        asked = json.dumps({"owned": list(owned), "units": dict(units)})
        return script("bundle.py", "state", asked)

    @staticmethod
    @override
    def default() -> BundleFields:
        return BundleFields(files={}, units={})

    @override
    def process(self, output: list[str]) -> BundleFields:
        found: BundleFields = json.loads("".join(output))
        return found


class There(FactBase[list[str]]):
    """
    Read which files some patterns name; the shell alone answers, in next to no time.

    + patterns: absolute, with `*`
    """

    @override
    def command(self, patterns: Sequence[str]) -> StringCommand:
        # Patterns are of ours, and are to be expanded.
        words = " ".join(patterns)
        return StringCommand(
            f'for one in {words}; do if [ -e "$one" ] || [ -L "$one" ]; then echo "$one"; fi; done'
        )

    @staticmethod
    @override
    def default() -> list[str]:
        return []

    @override
    def process(self, output: list[str]) -> list[str]:
        return list(output)
