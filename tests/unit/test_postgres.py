"""The pure parts of `operations/postgres/`: quoting, settings, access rules, memberships."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyinfra.api import OperationError

from operations.postgres import Row, loopback
from operations.postgres.access import render as render_hba
from operations.postgres.databases import encoding_key, same_locale
from operations.postgres.roles import epoch
from operations.postgres.server import render as render_settings
from operations.postgres.sqltext import (
    Value,
    check_name,
    check_settings,
    connect,
    identifier,
    literal,
    settings_difference,
    split_names,
    transaction,
)

PRINTABLE = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1)


def unquote(quoted: str, mark: str) -> str:
    """Read a quoted name or literal as PostgreSQL's lexer does, and insist that it ends there."""
    assert quoted[0] == mark
    found, rest = "", quoted[1:]
    while True:
        part, _, rest = rest.partition(mark)
        found += part
        if not rest.startswith(mark):
            break
        found, rest = found + mark, rest[1:]
    assert rest == ""
    return found


@given(PRINTABLE)
def test_quoted_text_is_read_back_as_it_was(value: str) -> None:
    assert unquote(identifier(value), '"') == value
    assert unquote(literal(value), "'") == value


@given(PRINTABLE)
def test_connection_string_is_read_back_as_it_was(database: str) -> None:
    conninfo = unquote(connect(database).removeprefix("\\connect -reuse-previous=on "), '"')
    value = conninfo.removeprefix("dbname='")
    assert value.endswith("'")
    # libpq: a backslash takes the next character as it is; a bare quote ends the value.
    pieces = re.findall(r"\\(.)|([^\\'])", value[:-1], re.DOTALL)
    assert "".join(escaped or plain for escaped, plain in pieces) == database
    assert sum(len(escaped) * 2 + len(plain) for escaped, plain in pieces) == len(value) - 1


@given(st.lists(PRINTABLE, min_size=1))
def test_list_of_names_is_read_back_as_it_was(names: list[str]) -> None:
    assert split_names(", ".join(identifier(name) for name in names)) == names


def test_plain_names_in_a_list_are_lower_case() -> None:
    assert split_names('"$user", Public ,pg_catalog') == ["$user", "public", "pg_catalog"]
    assert split_names("") == []


@pytest.mark.parametrize("value", ["", "-x", "a\nb", "a\0b", "a\u2028b", "x" * 64, "é" * 32])
def test_names_that_are_refused(value: str) -> None:
    with pytest.raises(OperationError):
        check_name("test", "role", value)


def test_names_that_are_not_refused() -> None:
    for value in ("x" * 63, "é" * 31, "a b", 'quo"te', "semi;colon", "UPPER", "$1", ":var", "\\c"):
        check_name("test", "role", value)


def test_settings_difference_is_only_the_difference() -> None:
    stored = ["work_mem=4MB", "TimeZone=utc", 'search_path="$user", app', "jit=off"]
    wanted: dict[str, Value | list[str]] = {
        "timezone": "utc",
        "search_path": ["$user", "app"],
        "work_mem": "8MB",
    }
    assert settings_difference('ROLE "r"', stored, wanted) == [
        'ALTER ROLE "r" SET "work_mem" TO \'8MB\';',
        'ALTER ROLE "r" RESET "jit";',
    ]
    assert settings_difference('ROLE "r"', stored, None) == []
    same: dict[str, Value | list[str]] = {**wanted, "work_mem": "4MB", "jit": False}
    assert settings_difference('ROLE "r"', stored, same) == []


def test_empty_search_path_is_one_empty_name() -> None:
    assert settings_difference("ROLE r", ['search_path=""'], {"search_path": []}) == []
    assert settings_difference("ROLE r", [], {"search_path": []}) == [
        "ALTER ROLE r SET \"search_path\" TO '';"
    ]


def test_setting_of_an_extension_is_quoted_part_by_part() -> None:
    assert settings_difference("ROLE r", [], {"app.user": 1}) == ['ALTER ROLE r SET "app"."user" TO \'1\';']


def test_bad_settings_are_refused() -> None:
    bad: list[dict[str, Value | list[str]]] = [{"work mem": "1"}, {"a'b": "1"}, {"a": "1\n2"}, {"": "1"}]
    for settings in bad:
        with pytest.raises(OperationError):
            check_settings("test", settings)


@given(st.dictionaries(st.sampled_from(["work_mem", "port", "log_directory", "jit"]), PRINTABLE))
def test_settings_file_is_read_back_as_it_was(settings: dict[str, str]) -> None:
    lines = render_settings(settings).split("\n")
    assert (lines[0][0], lines[-2:]) == ("#", ["# end", ""])
    found = {}
    for line in lines[1:-2]:
        name, _, value = line.partition(" = ")
        found[name] = re.sub(r"\\(.)", r"\1", unquote(value, "'"))
    assert found == settings


def test_settings_file_does_not_depend_on_order() -> None:
    assert render_settings({"a": 1, "b": True}) == render_settings({"b": True, "a": 1})
    assert "b = 'on'\n" in render_settings({"b": True})


def test_rules_begin_with_the_administrator_and_end_with_nobody() -> None:
    lines = [line.split("\t") for line in render_hba(loopback("db", "app")).splitlines() if line[0] != "#"]
    assert lines[0] == ["local", "all", "postgres", "peer"]
    assert lines[1] == ["host", '"db"', '"app"', "127.0.0.1/32", "scram-sha-256"]
    assert lines[2] == ["host", '"db"', '"app"', "::1/128", "scram-sha-256"]
    assert ["local", "all", "all", "reject"] in lines[3:]
    assert ["host", "all", "all", "all", "reject"] in lines[3:]
    assert {line[-1] for line in lines[3:]} == {"reject"}


@given(PRINTABLE.filter(lambda name: name[0] not in "-/+" and len(name.encode()) < 64))
def test_names_in_rules_lose_every_special_meaning(name: str) -> None:
    words = ("all", "sameuser", "samerole", "replication")
    line = render_hba([Row(name, name, type="local", method="peer")]).split("\n")[3]
    database, role = line.split("\t", 1)[1].rsplit("\t", 1)[0], line.split("\t")[-2]
    if name not in words and "\t" not in name:
        assert unquote(role, '"') == name
        assert database == f"{role}\t{role}"


@pytest.mark.parametrize(
    "row",
    [
        Row("db", "app"), Row("db", "app", "127.0.0.1"[:-1] + "x/32"), Row("db", "app", "192.0.2.1/24"),
        Row("db", "app", "::1/128", type="local"), Row("db", "app", "::1/128", method="trust"),
        Row("db", "app", "::1/128", method="md5"), Row("db", "app", "::1/128", method="peer"),
        Row("db", "app", "::1/128", method="cert"), Row("db", "app", "::1/128", method="nonsense"),
        Row("db", "app", "::1/128", type="hots"), Row("db", "/app", "::1/128"), Row("d\nb", "app", "::1/128"),
        Row("db", "app", "::1/128", options=("a b=c",)), Row("", "app", "::1/128"),
    ],
)  # fmt: skip
def test_rows_that_are_refused(row: Row) -> None:
    with pytest.raises(OperationError, match=r"postgres\.hba: "):
        render_hba([row])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None), ("1970-01-02", 86400), ("1970-01-01T01:00:00Z", 3600),
        ("1970-01-01T01:00:00+01:00", 0), ("1970-01-01 00:00:10", 10),
    ],
)  # fmt: skip
def test_valid_until_is_utc_unless_it_says_otherwise(text: str | None, seconds: int | None) -> None:
    assert epoch(text) == seconds


def test_locales_and_encodings_have_several_names() -> None:
    assert same_locale("C.UTF-8", "C.utf8")
    assert same_locale("en_GB.UTF-8", "en_GB.utf8")
    assert not same_locale("en_GB.UTF-8", "en_US.UTF-8")
    assert not same_locale("C", "C.UTF-8")
    assert encoding_key("utf-8") == encoding_key("UTF8") == encoding_key("unicode")
    assert encoding_key("LATIN1") != encoding_key("UTF8")


def test_a_transaction_that_arrives_cut_short_has_no_commit() -> None:
    text = transaction(["ALTER ROLE r CONNECTION LIMIT 20;"])
    assert all("commit;" not in text[:length] for length in range(len(text) - 1))
