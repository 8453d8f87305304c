"""The example application's settings: which layer wins, and what a bad value is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "rec_io"
sys.path.insert(0, str(EXAMPLE))

from backend import settings  # noqa: E402
from backend.setting_types import SettingsError  # noqa: E402


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "config.default.json").write_bytes((EXAMPLE / "config.default.json").read_bytes())
    return tmp_path


def local(app: Path, **values: object) -> None:
    (app / "config.local.json").write_text(json.dumps(values))


def test_layers_in_order_and_each_source_is_told(app: Path) -> None:
    local(app, main_port=3001, db_name="other")
    found = settings.load({"REC_MAIN_PORT": "3002"}, app)
    assert (found.main_port, found.sources["main_port"]) == (3002, "environment")
    assert (found.db_name, found.sources["db_name"]) == ("other", "config.local.json")
    assert (found.db_port, found.sources["db_port"]) == (5432, "config.default.json")
    assert (found.data_dir, found.sources["data_dir"]) == (app / "backend" / "data", "built in")


def test_local_file_is_read_from_config_dir(app: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("etc")
    local(app, db_name="beside the code")
    local(elsewhere, db_name="elsewhere")
    assert settings.load({"REC_CONFIG_DIR": str(elsewhere)}, app).db_name == "elsewhere"


def test_loading_leaves_the_files_alone(app: Path) -> None:
    local(app, main_port=3001)
    before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in app.iterdir()}
    settings.load({}, app)
    assert {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in app.iterdir()} == before


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("REC_MAIN_PORT", ""),
        ("REC_MAIN_PORT", "three"),
        ("REC_MAIN_PORT", "0"),
        ("REC_MAIN_PORT", "65536"),
        ("REC_DB_PORT", "5432.0"),
        ("REC_DB_PORT", "9" * 5000),
        ("REC_TRADE_MANAGER_PORT", "\u0664\u0660\u0660\u0660"),
        ("REC_BIND_HOST", "http://example"),
        ("REC_DB_SSLMODE", "on"),
        ("REC_ACCOUNT_MODE", "live"),
        ("REC_LOG_DIR", "logs"),
        ("REC_DATA_DIR", "./data"),
        ("REC_CONFIG_DIR", "here"),
        ("REC_DB_NAME", " "),
    ],
)
def test_bad_value_names_the_variable(app: Path, variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: "):
        settings.load({variable: value}, app)


def test_bad_value_in_a_file_names_file_and_key(app: Path) -> None:
    local(app, db_port=True)
    with pytest.raises(SettingsError, match=r"config\.local\.json: db_port: True is not usable"):
        settings.load({}, app)


def test_broken_local_file_is_not_passed_over(app: Path) -> None:
    (app / "config.local.json").write_text("{")
    with pytest.raises(SettingsError, match=r"config\.local\.json: not valid JSON"):
        settings.load({}, app)


def test_one_port_for_two_services(app: Path) -> None:
    with pytest.raises(SettingsError, match="REC_MAIN_PORT and REC_TRADE_MANAGER_PORT"):
        settings.load({"REC_MAIN_PORT": "4000"}, app)


def test_unknown_name_is_told_with_the_nearest(app: Path) -> None:
    local(app, main_prot=1)
    told = settings.load({"REC_DB_PORTT": "1", "PATH": "/bin"}, app).warnings
    assert len(told) == 2
    assert "did you mean REC_DB_PORT?" in told[0]
    assert "did you mean main_port?" in told[1]


def test_password_is_in_no_representation_and_no_message(app: Path) -> None:
    assert "hunter2" not in repr(settings.load({"REC_DB_PASS": "hunter2"}, app))
    with pytest.raises(SettingsError) as caught:
        settings.load({"REC_DB_PASS": "hunter2\nx"}, app)
    assert "REC_DB_PASS" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_password_is_refused_in_the_tracked_file(app: Path) -> None:
    path = app / "config.default.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "db_pass": "hunter2"}))
    with pytest.raises(SettingsError, match="set REC_DB_PASS"):
        settings.load({}, app)


def test_env_example_is_complete_and_loads(app: Path) -> None:
    lines = (EXAMPLE / ".env.example").read_text().splitlines()
    example = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert set(example) == {f"REC_{key.upper()}" for key in settings.KINDS} | {"REC_CONFIG_DIR"}
    found = settings.load(example, app)
    assert found.warnings == ()
    assert found.log_dir == app / "logs"
