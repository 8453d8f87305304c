"""What of an app is watched: the settings, and what the guard is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pyinfra.api import OperationError

from operations import config_guard
from settings import load
from settings.app import App
from settings.errors import SettingsError
from tasks.config_guard import declared, differing, lines

APP = {
    "source": "examples/rec_io", "services": {"web": {"command": "python -m web"}},
    "config_files": {"local.json": "{}"},
}  # fmt: skip


def shop(**app: object) -> App:
    return load({"environment": "lab", "apps": {"shop": {**APP, **app}}}, "here").all_apps()[0]


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("releases/x", "is replaced by each release"),
        ("current/config.json", "is replaced by each release"),
        ("../x", "is not a usable path"),
        ("/tmp/x", "is in a place that does not keep files"),
        ("/etc", "is a directory that others write to"),
        ("/etc/systemd/system", "is a directory that others write to"),
        ("/var/lib", "is a directory that others write to"),
        ("/etc/a b", "is not a usable path"),
        ("shared", "the services write to 'shared/logs'"),
        ("shared/logs/x", "the services write to 'shared/logs'"),
        ("shared/data/feed", "the services write to 'shared/data'"),
    ],
)
def test_what_cannot_be_watched(path: str, why: str) -> None:
    with pytest.raises(SettingsError, match="watched") as raised:
        shop(watched=[path], shared=["logs", "data"], produces={"data": 60})
    assert why in str(raised.value)


def test_everything_of_an_app_is_declared() -> None:
    app = shop(watched=["shared/rules.json", "/etc/shop.d"], process_manager="supervisor")
    watch = declared(app)
    assert list(watch.trees) == ["/etc/shop", "/opt/shop/shared/rules.json", "/etc/shop.d"]
    assert "/etc/systemd/system/shop.service.d/*" in watch.files
    assert "/etc/systemd/system/multi-user.target.wants/shop.service" in watch.files
    shown = set(watch.shown)
    assert {"/etc/shop/local.json", "/etc/shop/supervisord.conf"} <= shown
    assert not {"/etc/shop/env", "/etc/shop/secrets", "/opt/shop/shared/rules.json"} & shown
    text, mode = config_guard.files([watch])[config_guard.DECLARATION]
    assert mode == "0600"
    assert json.loads(text)["apps"]["shop"]["kept"] == [
        "/etc/shop.d", "/etc/shop/local.json", "/etc/shop/secrets", "/opt/shop/shared/rules.json"
    ]  # fmt: skip


def test_a_path_that_is_none_is_refused() -> None:
    with pytest.raises(OperationError, match="'/etc/my shop' is not usable"):
        config_guard.files([config_guard.Watch("shop", trees=["/etc/my shop"])])


def test_what_people_are_told() -> None:
    found: dict[str, Any] = {
        "wanted": True, "installed": True, "runs": True, "problem": None, "accepted": 1.0, "differs": {},
        "changes": [], "all": [],
    }  # fmt: skip
    assert lines(found) == ["as it was accepted 1970-01-01 00:00:01 UTC; nobody has changed anything since"]
    assert lines({"wanted": False}) == ["not watched: config_guard is False"]
    assert lines({"wanted": True}) == ["not watched yet; run deploy.py"]
    assert "THE GUARD DOES NOT RUN" in lines({**found, "runs": False})[0]
    change = {
        "path": "/etc/shop/env", "did": ["written"], "changed": ["content"], "told": "T by sed",
        "difference": ["A: another value"],
    }  # fmt: skip
    said = lines({**found, "changes": [change], "all": [{**change, "run": "R"}]}, everything=True)
    assert said[:4] == ["/etc/shop/env", "  written, (content)", "  T by sed", "    A: another value"]
    assert said[-1] == "  /etc/shop/env: written, (content) T by sed, run R"
    about = {"changed": ["content"], "difference": ["A: another value"], "put_back": True}
    assert differing("/etc/shop/env", about, told=True)[-1].startswith("  deploy.py puts it back")
