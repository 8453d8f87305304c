"""The pure part of `operations/sshd.py`."""

from __future__ import annotations

from typing import Any

import pytest
from pyinfra.api import OperationError

from facts.sshd import Sshd, SshdFields
from operations.sshd import effective_lines, in_effect, refuse_keyless, refuse_lock_out, render

SETTINGS = {
    "PasswordAuthentication": "no",
    "PermitRootLogin": "prohibit-password",
    "AllowUsers": "root deploy",
}


def state(**changed: Any) -> SshdFields:
    fields = SshdFields(
        installed=True, login="root", keys=1, armed=False, stale=False, included=True, file="", effective={}
    )  # fmt: skip
    fields.update(changed)  # type: ignore[typeddict-item]
    return fields


def test_text() -> None:
    assert render(SETTINGS).splitlines()[1:] == [
        "PasswordAuthentication no", "PermitRootLogin prohibit-password", "AllowUsers root deploy",
    ]  # fmt: skip


def test_in_the_words_of_sshd() -> None:
    assert in_effect(SETTINGS)["permitrootlogin"] == "without-password"
    assert effective_lines(SETTINGS) == [
        "passwordauthentication no", "permitrootlogin without-password",
        "allowusers root", "allowusers deploy",
    ]  # fmt: skip


def test_the_fact_joins_lists() -> None:
    output = [
        "login root",
        "installed yes",
        "effective allowusers root",
        "effective allowusers deploy",
        "keys 2",
    ]
    found = Sshd().process(output)
    assert found["effective"] == {"allowusers": "root deploy"}
    assert found["keys"] == 2


def test_no_lock_out() -> None:
    refuse_lock_out(state(), SETTINGS)
    refuse_keyless(state(), SETTINGS)
    refuse_keyless(state(keys=0), {**SETTINGS, "PasswordAuthentication": "yes"})
    refuse_keyless(state(keys=0, effective={"authorizedkeyscommand": "/usr/bin/keys"}), SETTINGS)
    with pytest.raises(OperationError, match="root has no authorized key"):
        refuse_keyless(state(keys=0), SETTINGS)


@pytest.mark.parametrize(
    ("now", "settings", "message"),
    [
        (state(login="admin"), SETTINGS, "this login is admin"),
        (state(), {**SETTINGS, "PermitRootLogin": "no"}, "this login is root"),
        (state(included=False), SETTINGS, "at its top"),
    ],
)
def test_lock_outs_are_refused(now: SshdFields, settings: dict[str, str], message: str) -> None:
    with pytest.raises(OperationError, match=message):
        refuse_lock_out(now, settings)
