"""What `operations/sshd.py` reads: sshd's configuration in effect, and whether the login has keys."""

from __future__ import annotations

from typing import TypedDict

from pyinfra.api import FactBase, StringCommand
from typing_extensions import override

from facts.script import script


class SshdFields(TypedDict):
    """sshd as it is; `effective` is what `sshd -T` says for the login in use, keywords in small letters."""

    installed: bool
    login: str
    keys: int
    armed: bool
    stale: bool
    included: bool
    file: str
    effective: dict[str, str]


class Sshd(FactBase[SshdFields]):
    """
    Read sshd's effective configuration for the login in use, its drop-in and its keys, in one round trip.

    + drop_in: absolute path of the drop-in

    `file` is "user:group:mode digest" of the drop-in, "" where there is none; `stale` says that sshd has
    not read it since it was written; `included` that the main configuration includes the drop-ins before
    it sets anything. Where sshd is not installed, `installed` is False and `effective` empty.
    """

    @override
    def command(self, drop_in: str) -> StringCommand:
        return script("sshd-state.sh", drop_in)

    @override
    def process(self, output: list[str]) -> SshdFields:
        lines = [line.partition(" ")[::2] for line in output]
        words = dict(lines)
        effective: dict[str, str] = {}
        for word, value in lines:
            if word == "effective":
                keyword, setting = value.partition(" ")[::2]
                # Keywords that may come several times, such as allowusers, come one a line.
                effective[keyword] = f"{effective[keyword]} {setting}" if keyword in effective else setting
        return SshdFields(
            installed=words.get("installed") == "yes",
            login=words.get("login", ""),
            keys=int(words.get("keys", "0")),
            armed=words.get("armed") == "yes",
            stale=words.get("stale") == "yes",
            included=words.get("include") == "yes",
            file=words.get("file", ""),
            effective=effective,
        )
