"""Settings: what is refused, in which words; what is merged; what is never shown."""

from __future__ import annotations

import contextlib
import runpy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from settings import SecretReference, Settings, SettingsError, load
from settings.load import once

PROJECT = Path(__file__).resolve().parents[2]
SERVICE: dict[str, Any] = {"command": "python -m shop.web", "port": 3000, "health": "/health"}
APP: dict[str, Any] = {
    "source": "shop",
    "services": {"web": SERVICE},
    "secrets": {"db_password": {"source": "generated"}},
    "variables": {"SHOP_DB_PASS": {"secret": "db_password"}, "SHOP_PORT": 3000},
    "prefix": "SHOP_",
}
PORTLESS: dict[str, Any] = {**APP, "services": {"web": {"command": "python -m shop"}}}


def app(**changes: Any) -> dict[str, Any]:
    return {"apps": {"shop": {**APP, **changes}}}


def service(**changes: Any) -> dict[str, Any]:
    return app(services={"web": {**SERVICE, **changes}})


def loaded(**data: Any) -> Settings:
    return load({"environment": "lab", **data}, "inventories/lab.py")


def refusal(**data: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        loaded(**data)
    return str(caught.value)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"swpa": {}}, "swpa: there is no such setting; did you mean 'swap'?"),
    ({"swap": {"sise": "2G"}}, "swap.sise: there is no such setting; did you mean 'size'?"),
    (
        {"swap": {"size": "2GB"}},
        "swap.size: '2GB': is not a size; write a number and M, G or T, such as '2G'",
    ),
    (
        {"swap": {"path": "swapfile"}},
        "swap.path: 'swapfile': is relative; write the absolute path, such as '/swapfile'",
    ),
    ({"swap": {"path": "/../etc"}}, "swap.path: '/../etc': is not a usable path"),
    ({"upgrade": "yes"}, "upgrade: 'yes': Input should be a valid boolean"),
    ({"packages": "htop"}, "packages: 'htop': Input should be a valid tuple"),
    ({"packages": ["-o"]}, "packages.0: '-o': is not a Debian package name"),
    (
        {"ssh": {"authorized_keys": ["ssh-rsa AAAA"]}},
        "is not an ED25519 public key; make one with: ssh-keygen",
    ),
    ({"ssh": {"authorized_keys": ["ssh-ed25519 AAAAgarbage"]}}, "is not an ED25519 public key"),
    ({"firewall": {"allow": [{"port": 70000}]}}, "firewall.allow.0.port: 70000"),
    ({"firewall": {"allow": [{"port": 80, "source": "10.0.0.0/33"}]}}, "is not a network"),
    ({"firewall": {"ssh_from": []}}, "firewall.ssh_from"),
    ({"postgresql": {"listen_addresses": ["*"]}}, "'*': would listen on every address; name the addresses"),
    ({"postgresql": {"settings": {"port": 5433}}}, "'port' has a setting of its own: postgresql.port"),
    (service(command=""), "apps.shop.services.web.command: '': is empty: a service needs a command"),
    (service(comand="x"), "apps.shop.services.web.comand: there is no such setting; did you mean 'command'?"),
    (service(port="3000"), "apps.shop.services.web.port: '3000': Input should be a valid integer"),
    (service(port=None), "'health' needs 'port'"),
    (service(port=5432), "port 5432 is already used by postgresql.port; choose another"),
    (app(services={}), "apps.shop.services"),
    (service(files=["/web.py"]), "apps.shop.services.web.files.0: '/web.py': is absolute"),
    (service(files=["../*.py"]), "'../*.py': is not a usable path"),
    (service(files=["!web.py"]), "begins with '!'; name the files that belong to it"),
    (service(files=[]), "service 'web' has no 'files' at all; name them, or leave 'files' out"),
    (app(common_files=["*.py"]), "'common_files' is for services that have 'files', and none has"),
    (app(services={"a": SERVICE, "b": SERVICE}), "port 3000 is already used by apps.shop.services.a.port"),
    (app(services={"Web": SERVICE}), "is not a name that files, units and users can share"),
    (app(shared=["/var/log"], log_directory="logs"), "is absolute; write it relative to the app's directory"),
    (app(log_directory="log"), "log_directory 'log' must be one of 'shared'"),
    (app(variables={"OTHER": "1"}), "variable 'OTHER' does not begin with the prefix 'SHOP_'"),
    (app(variables={"SHOP_X": {"secret": "nope"}}), "secret 'nope' is used but not declared"),
    (
        app(variables={"SHOP_X": {"secert": "x"}}),
        "apps.shop.variables.SHOP_X.secert: there is no such setting",
    ),
    (app(variables={"SHOP_X": "a\nb"}), "has a line break or another control character"),
    (app(secrets={"db_password": {"source": "environment"}}), "needs 'variable'"),
    (app(secrets={"db_password": {"source": "age"}}), "needs 'file'"),
    (
        app(database={"database": "a", "role": "b", "password": "nope"}),
        "secret 'nope' is used but not declared",
    ),
    (
        {**app(), "overrides": {"apps": {"shoop": {}}}},
        "overrides.apps.shoop: there is no app of that name",
    ),
    ({"overrides": []}, "overrides: is not a table"),
    ({"overrides": {"swap": {"sise": "1G"}}}, "swap.sise: there is no such setting; did you mean 'size'?"),
    ({"swap": {"path": "/my swap"}}, "swap.path: '/my swap': is not a usable path"),
    ({"firewall": {"allow": [{"port": 80, "comment": "Tom's"}]}}, "has characters that ufw refuses"),
    ({"firewall": {"allow": [{"port": 80, "source": "0.0.0.0/0"}]}}, "is everyone; write 'any'"),
    (
        {**service(public=True), "firewall": {"allow": [{"port": 3000}]}},
        "port 3000 is public already",
    ),
    ({"postgresql": {"listen_addresses": ["::"]}}, "'::': would listen on every address"),
    ({"postgresql": {"listen_addresses": ["foo"]}}, "'foo': is not an IP address; write 'localhost'"),
    (
        {"postgresql": {"settings": {"data_directory": "/x"}}},
        "is not a server setting that can be",
    ),
    ({"postgresql": {"settings": {"work_mem": "1\n"}}}, "has a line break or another control character"),
    ({"apps": {"ssh": APP}}, "is a name of the system's own files"),
    (app(user="root"), "apps.shop.user: 'root': is an account or group of the system"),
    (
        {"apps": {"shop": APP, "till": {**PORTLESS, "user": "shop"}}},
        "apps.till.user: 'shop' is already the one of app",
    ),
    (app(database={"database": "postgres", "role": "b"}), "is a database or word of PostgreSQL's own"),
    (app(database={"database": "a", "role": "pg_x"}), "is a role or word of PostgreSQL's own"),
    (app(database={"database": "a", "role": "b", "extensions": ["-x"]}), "is not a PostgreSQL extension"),
    (app(migrate=""), "apps.shop.migrate: '': is empty"),
    (app(migrations="migrations"), "'migrations' are applied to a database; declare 'database'"),
    (app(migrations="/migrations"), "apps.shop.migrations: '/migrations': is absolute"),
    (app(migration_lock_seconds=0), "apps.shop.migration_lock_seconds: 0"),
    (service(command="./run.sh"), "begins with './run.sh'; write a program of the virtual environment"),
    (service(command="python 'x"), "cannot be split into words"),
    (
        service(variables={"SHOP_X": {"secret": "db_password"}}),
        "is a table; one service's variables",
    ),
    (app(shared=["logs", "venv"]), "shared directory 'venv' is a place of ours in each release"),
    (app(shared=["logs", "./data"]), "'./data': is not a usable path"),
    (app(config_files={"env": ""}), "config file 'env' is one of ours"),
    (app(config_files={"sub/x.json": ""}), "is not a plain file name"),
    (app(produces={"data": 60}), "produces 'data': is not one of 'shared'"),
]


@pytest.mark.parametrize(("data", "message"), REFUSED, ids=[message[:50] for _, message in REFUSED])
def test_refused(data: dict[str, Any], message: str) -> None:
    text = refusal(**data)
    assert message in text
    assert text.startswith("inventories/lab.py: ")
    assert "no host was touched" in text


def test_all_findings_at_once() -> None:
    text = refusal(swpa=1, upgrade="yes")
    assert "2 settings are wrong" in text
    assert "swpa" in text
    assert "upgrade" in text


@pytest.mark.parametrize(
    "data",
    [
        app(secrets={"db_password": "hunter2"}),
        app(variables={"SHOP_DB_PASS": "hunter2"}),
        app(variables={"SHOP_API_TOKEN": "hunter2"}),
        app(variables={"SHOP_SECRET_KEY": "hunter2"}),
        app(variables={"SHOP_DB": "postgresql://shop:hunter2@localhost/shop"}),
        service(variables={"SHOP_DB_PASS": "hunter2"}),
        app(variables={"SHOP_X": ["hunter2"]}),
        app(secrets={"db_password": {"source": "generated", "value": "hunter2"}}),
    ],
)
def test_a_password_in_plain_text_is_refused_and_not_shown(data: dict[str, Any]) -> None:
    assert "hunter2" not in refusal(**data)


def test_two_apps_may_not_share_a_database() -> None:
    database = {"database": "shop", "role": "shop"}
    second = {**APP, "services": {"web": {"command": "python -m x"}}, "database": database}
    text = refusal(apps={"shop": {**APP, "database": database}, "till": second})
    assert "apps.till.database.database: 'shop' is already the one of app 'shop'" in text


def test_overrides_are_laid_over_table_by_table() -> None:
    base = {**app(), "firewall": {"allow": [{"port": 80}]}, "swap": {"size": "2G", "swappiness": 5}}
    override = {
        "apps": {"shop": {"variables": {"SHOP_PORT": 4000, "SHOP_MODE": "prod"}, "keep_releases": 2}},
        "firewall": {"ssh_from": ["203.0.113.0/24"]},
        "swap": {"size": "64M"},
    }
    result = loaded(**base, overrides=override)
    shop = result.apps["shop"]
    assert shop.variables == {
        "SHOP_DB_PASS": SecretReference(secret="db_password"),
        "SHOP_PORT": "4000",
        "SHOP_MODE": "prod",
    }
    assert (shop.keep_releases, shop.source) == (2, "shop")
    assert [rule.port for rule in result.firewall.allow] == [80]
    assert result.swap is not None
    assert (result.swap.size, result.swap.swappiness) == ("64M", 5)


def test_an_override_replaces_a_secret_source_whole_and_an_app_not() -> None:
    source = {"source": "environment", "variable": "SHOP_DB"}
    override = {"apps": {"shop": {"secrets": {"db_password": source}, "source": "elsewhere"}}}
    shop = loaded(**app(), overrides=override).apps["shop"]
    assert shop.secrets["db_password"].variable == "SHOP_DB"
    assert shop.source == "elsewhere"
    assert list(shop.services) == ["web"]


def test_connection_data_is_left_to_pyinfra() -> None:
    assert loaded(ssh_user="admin", ssh_hostname="198.18.0.2", _sudo=True).environment == "lab"


def test_a_command_may_be_text_or_words() -> None:
    for command in ("python -m 'a b'", ["python", "-m", "a b"]):
        assert loaded(**service(command=command)).apps["shop"].services["web"].command == (
            "python",
            "-m",
            "a b",
        )


@given(
    st.dictionaries(st.text(max_size=20), st.one_of(st.none(), st.text(), st.integers(), st.lists(st.text())))
)
def test_any_data_is_accepted_or_refused(data: dict[str, Any]) -> None:
    # Any other exception than SettingsError fails the test.
    with contextlib.suppress(SettingsError):
        loaded(**{"environment": "lab", **data})


@pytest.mark.parametrize("environment", ["lab", "staging", "do"])
def test_the_data_of_every_environment_is_valid(environment: str) -> None:
    data: dict[str, Any] = {}
    for name in ("all", environment):
        values = runpy.run_path(str(PROJECT / "group_data" / f"{name}.py"))
        data |= {key: value for key, value in values.items() if not key.startswith("_")}
    settings = load(data, environment)
    assert settings.environment == environment
    assert len(settings.apps["rec_io"].services) == 12
    assert settings.public_ports() == {3000: "rec_io/main_app"}


def test_hosts_of_which_the_same_is_declared_share_their_settings() -> None:
    declared = {"environment": "lab", "upgrade": True, "packages": ["htop"], "ssh_hostname": "192.0.2.1"}
    one = once(declared, "host one")
    assert once({**declared, "packages": ["htop"], "ssh_hostname": "192.0.2.2"}, "host two") is one
    assert once({**declared, "packages": ["iotop"]}, "host three") is not one
    # 1 == True, and yet one of them is no setting; a function cannot be compared, and is none either.
    for wrong in ({"upgrade": 1}, {"oops": lambda: 0}):
        with pytest.raises(SettingsError, match="host four"):
            once({**declared, **wrong}, "host four")
