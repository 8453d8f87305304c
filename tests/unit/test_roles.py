"""An app's database roles: what the settings make of them, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from facts.postgres.app import Owned
from operations.postgres.app_text import given_away, wanted_of
from settings import load
from settings.errors import SettingsError


def data(database: dict[str, Any] | None = None, **app: Any) -> dict[str, Any]:
    """Return a host's data with one app that has a database."""
    mine = {"database": "shop", "role": "shop_app", **(database or {})}
    secrets = {"db_password": {"source": "generated"}}
    shop = {"source": "shop", "services": {"web": {"command": "python -m web"}}, "secrets": secrets}
    return {"environment": "lab", "apps": {"shop": {**shop, "database": mine, **app}}}


def refused(declared: dict[str, Any]) -> str:
    with pytest.raises(SettingsError) as error:
        load(declared, "a host")
    return str(error.value)


def test_owner_and_reader_are_named_after_the_database() -> None:
    app = load(data(), "a host").all_apps()[0]
    assert app.database is not None
    assert app.database.roles == ["shop_owner", "shop_app", "shop_reader"]
    assert app.database.logins == ["shop_app", "shop_owner"]
    assert app.secrets["db_owner_password"].source == "generated"


def test_declared_names_and_secrets_win() -> None:
    secrets = {
        "db_password": {"source": "generated"}, "reads": {"source": "generated"},
        "boss": {"source": "environment", "variable": "BOSS"},
    }  # fmt: skip
    given = {"owner": "boss", "owner_password": "boss", "reader": "eyes", "reader_password": "reads"}
    app = load(data(given, secrets=secrets), "a host").all_apps()[0]
    assert app.database is not None
    assert app.database.logins == ["shop_app", "boss", "eyes"]
    assert app.secrets["boss"].source == "environment"
    assert "db_owner_password" not in app.secrets


OWNER = {"secret": "db_owner_password"}


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (data({"owner": "shop_app"}), "give each a name of its own"),
        (data({"owner_password": "db_password"}), "the same secret as password"),
        (data({"reader_password": "reads"}), "secret 'reads' is used but not declared"),
        (data({"also": ["CREATE"]}), "also"),
        (data({"database": "d" * 60}), "owner"),
        (data(variables={"DB_PASS": OWNER}), "services must not have it"),
        (data(secret_files={"db.json": {"content": {"password": OWNER}}}), "services must not have it"),
        (data(migrate="python -m migrate"), "give it that role and its password in 'migrate_variables'"),
        (data(migrate_variables={"DB_PASS": OWNER}), "there is none; remove them"),
        (
            data(migrate="python -m m", migrate_variables={"A_PASS": "x", "DB_PASS": OWNER}),
            "is a secret by its name",
        ),
        (
            data(migrate="python -m m", migrate_variables={"DB_PASS": OWNER}, prefix="SHOP_"),
            "does not begin with the prefix",
        ),
    ],
)
def test_refused(declared: dict[str, Any], said: str) -> None:
    assert said in refused(declared)


def test_two_apps_share_no_role() -> None:
    both = data()
    both["apps"]["other"] = {**both["apps"]["shop"], "user": "other"}
    both["apps"]["other"]["database"] = {"database": "other", "role": "shop_reader"}
    assert "'shop_reader' is already the one of app 'shop'" in refused(both)


def test_what_each_role_may_do() -> None:
    found = wanted_of("app", "reader", ["TRUNCATE", "TEMPORARY"])
    assert found["app"]["tables"] == ["DELETE", "INSERT", "SELECT", "TRUNCATE", "UPDATE"]
    assert found["app"]["database"] == ["CONNECT", "TEMPORARY"]
    assert found["reader"]["tables"] == ["SELECT"]
    assert found["PUBLIC"] == {"functions": []}


def test_an_object_and_its_sequences_change_hands_in_one_transaction() -> None:
    owned = Owned(type="table", identity="public.t", sequences=["public.t_id_seq"])
    text = given_away(owned, "o", "a", wanted_of("a", "r", [])["a"])
    assert text.splitlines() == [
        "begin;",
        'ALTER TABLE public.t OWNER TO "o";',
        'GRANT DELETE, INSERT, SELECT, UPDATE ON TABLE public.t TO "a";',
        'GRANT SELECT, USAGE ON SEQUENCE public.t_id_seq TO "a";',
        "commit;",
    ]
