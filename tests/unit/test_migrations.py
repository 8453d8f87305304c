"""Migration files, what is pending, and what a release can live with, here and in the host program."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operations import migration_files, schema, sql_scan
from operations.schema import File, Row, SchemaError

HOST_PROGRAM = Path(__file__).resolve().parent.parent.parent / "files" / "host" / "migrations-apply.py"


def words(text: str) -> list[str]:
    return [" ".join(statement.words) for statement in sql_scan.scan(text).statements]


def file(name: str, sha256: str = "x", *, breaking: bool = False) -> File:
    return File(name=name, sha256=sha256, transaction=True, breaking=breaking, indexes=[])


def row(name: str, sha256: str | None = "x") -> Row:
    return Row(name=name, sha256=sha256)


def findings(text: str, *, own: bool = True) -> list[str]:
    return migration_files.file_of("001_x.sql", text.encode(), own=own)[1]


# --- the scanner


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CREATE TABLE a (b int); DROP TABLE c", ["CREATE TABLE A B INT", "DROP TABLE C"]),
        ("select ';'';' ; select E'\\';' ; select \";\"", ["SELECT", "SELECT", 'SELECT ";"']),
        ("do $$ begin; commit; end $$; do $a$ $$ ; $$ $a$", ["DO", "DO"]),
        ("select $1; select a$b$", ["SELECT", "SELECT A$B$"]),
        ("/* ; /* ; */ ; */ select 1 -- ;\n;", ["SELECT"]),
        ("create rule r as on insert to a do (delete from b; delete from c);", None),
        (
            "CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 2; END; DROP TABLE a;",
            None,
        ),
        ("select a[1:n], b::int, f(x := 1)", ["SELECT A N B INT F X"]),
        (";;", []),
    ],
)
def test_scan_splits_as_psql_does(text: str, found: list[str] | None) -> None:
    if found is not None:
        assert words(text) == found
    elif "ATOMIC" in text:
        assert [one.split()[0] for one in words(text)] == ["CREATE", "DROP"]
    else:
        assert len(words(text)) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("select 1;\n\\! rm -rf /", r"line 2: \! is a command of psql"),
        ("\\i other.sql", r"line 1: \i is a command of psql"),
        ("select 'a", "line 1: the quote ' is never closed"),
        ("select $$a", r"line 1: $$ is never closed"),
        ("\n/* a", "line 2: the comment /* is never closed"),
        ("select :'PASSWORD'", "is a variable of psql"),
        ("select :USER", "is a variable of psql"),
        ("COPY a FROM STDIN;\n1\n\\.\n", "COPY FROM STDIN reads data"),
    ],
)
def test_scan_refuses_what_is_not_plain_sql(text: str, said: str) -> None:
    with pytest.raises(sql_scan.ScanError) as error:
        sql_scan.scan(text)
    assert said in str(error.value)


QUOTED = st.one_of(
    st.text().map(lambda t: "'" + t.replace("'", "''") + "'"),
    st.text(min_size=1).map(lambda t: '"' + t.replace('"', '""') + '"'),
    st.text().filter(lambda t: "$q$" not in t and not t.endswith("$q")).map(lambda t: f"$q${t}$q$"),
    st.text().filter(lambda t: "*/" not in t and "/*" not in t and not t.endswith(("/", "*")))
    .filter(lambda t: not t.startswith(("/", "*"))).map(lambda t: f"/*{t}*/"),
    st.text(alphabet=st.characters(exclude_characters="\n")).map(lambda t: f"--{t}\n"),
)  # fmt: skip


@given(st.lists(st.lists(QUOTED, max_size=4), min_size=1, max_size=5))
def test_nothing_within_quotes_or_comments_is_seen(parts: list[list[str]]) -> None:
    text = ";\n".join(" ".join(["SELECT 1", *quoted]) + "\n" for quoted in parts)
    assert len(sql_scan.scan(text).statements) == len(parts)


@given(st.text())
def test_any_text_is_scanned_or_refused(text: str) -> None:
    try:
        lines = [statement.line for statement in sql_scan.scan(text).statements]
    except sql_scan.ScanError as problem:
        lines = [problem.line]
    assert all(1 <= line <= text.count("\n") + 1 for line in lines)
    assert lines == sorted(lines)


# --- files


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN; SELECT 1",
        "select 1; COMMIT",
        "rollback;",
        "START TRANSACTION;",
        "end;",
        "ABORT",
        "prepare transaction 'a'",
    ],
)
def test_own_transactions_are_refused(text: str) -> None:
    assert any("each file runs in one transaction" in finding for finding in findings(text))


@pytest.mark.parametrize(
    "text",
    ["SAVEPOINT a; ROLLBACK TO SAVEPOINT a;",
     "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$",
     "REFRESH MATERIALIZED VIEW CONCURRENTLY a", "PREPARE begin AS SELECT 1", "-- BEGIN;\nSELECT 'COMMIT;'"],
)  # fmt: skip
def test_what_only_looks_like_one_is_not(text: str) -> None:
    assert findings(text) == []


def test_what_cannot_run_in_a_transaction_needs_the_marker() -> None:
    text = 'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "A b" ON c (d);\n'
    assert "whose first line is: -- hostwright: no transaction" in findings(text)[0]
    made, wrong = migration_files.file_of(
        "001_x.sql", b"-- why\n-- hostwright: no transaction\n" + text.encode()
    )
    assert (wrong, made["transaction"], made["indexes"]) == ([], False, ["A b"])
    for one in ("VACUUM a;", "REINDEX INDEX CONCURRENTLY a;", "DROP INDEX CONCURRENTLY a;"):
        assert "cannot run in a transaction" in findings(one)[0]


@pytest.mark.parametrize(
    "text", ["CREATE INDEX CONCURRENTLY a ON b (c)", "CREATE INDEX CONCURRENTLY ON b (c)"]
)
def test_a_concurrent_index_must_be_one_that_can_be_run_again(text: str) -> None:
    assert "IF NOT EXISTS name" in findings(f"-- hostwright: no transaction\n{text}")[0]


def test_markers() -> None:
    made, wrong = migration_files.file_of(
        "001_x.sql", b"-- hostwright: breaks earlier releases\nDROP TABLE a;"
    )
    assert (made["breaking"], made["transaction"], wrong) == (True, True, [])
    assert "means nothing" in findings("-- hostwright: breaks earlier release\nSELECT 1")[0]
    assert "move it up" in findings("SELECT 1;\n-- hostwright: no transaction\n")[0]
    # In the way of the app's own command only the markers are read.
    own, wrong = migration_files.file_of(
        "V1.sql", b"-- hostwright: breaks earlier releases\nBEGIN;", own=False
    )
    assert (own["breaking"], wrong) == (True, [])


def test_names() -> None:
    found = migration_files.name_findings(["001_a", "01_b", "001_c", "0002_d", "003_E"])
    assert [one.split(":")[0] for one in found] == ["01_b.sql", "001_c.sql", "0002_d.sql", "003_E.sql"]


def test_read_says_all_that_is_wrong(tmp_path: Path) -> None:
    place = tmp_path / "migrations"
    place.mkdir()
    (place / "001_a.sql").write_text("COMMIT;", encoding="utf-8")
    (place / "002_b.sql").write_bytes(b"\xff")
    (place / "notes.txt").write_text("", encoding="utf-8")
    with pytest.raises(SchemaError) as error:
        migration_files.read(tmp_path, "migrations")
    assert "migrations/001_a.sql: line 1: COMMIT is" in str(error.value)
    assert "migrations/002_b.sql: is not UTF-8" in str(error.value)
    only = migration_files.read(tmp_path, "migrations", only=[])
    assert only == []
    with pytest.raises(SchemaError, match="is not a directory"):
        migration_files.read(tmp_path, "elsewhere")


# --- pending, here and on the host


@pytest.fixture(scope="module")
def program() -> ModuleType:
    spec = importlib.util.spec_from_file_location("migrations_apply", HOST_PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on_host(program: ModuleType, files: list[File], ledger: list[Row]) -> list[str]:
    had = {one["name"]: one["sha256"] for one in ledger}
    return [one["name"] for one in program.pending(files, had)]


FILES = [file("001_a"), file("002_b"), file("003_c")]


@pytest.mark.parametrize(
    ("ledger", "todo"),
    [
        ([], ["001_a", "002_b", "003_c"]),
        ([row("001_a"), row("002_b")], ["003_c"]),
        ([row("001_a"), row("002_b"), row("003_c"), row("004_d")], []),
    ],
)
def test_pending(program: ModuleType, ledger: list[Row], todo: list[str]) -> None:
    assert schema.pending(FILES, ledger) == todo
    assert on_host(program, FILES, ledger) == todo


@pytest.mark.parametrize(
    ("ledger", "said"),
    [
        ([row("001_a", "y")], "001_a: changed since it was applied"),
        ([row("001_a"), row("003_c")], "002_b: numbered before 003_c"),
        ([row("001_a"), row("002_b"), row("003_other")], "003_c: numbered before 003_other"),
        ([row("001_a"), row("004_d")], "002_b, 003_c: numbered before 004_d"),
    ],
)
def test_pending_refuses(program: ModuleType, ledger: list[Row], said: str) -> None:
    with pytest.raises(SchemaError) as error:
        schema.pending(FILES, ledger)
    assert said in str(error.value)
    with pytest.raises(program.StoppedError) as stopped:
        on_host(program, FILES, ledger)
    assert said in str(stopped.value)
    assert stopped.value.code == 3


def test_the_apps_own_command_is_asked_about_all_that_differs() -> None:
    ledger = [row("001_a", "y"), row("002_b", None)]
    assert schema.pending(FILES, ledger, own=False) == ["001_a", "003_c"]
    assert schema.pending(FILES, [row(one["name"], None) for one in FILES], own=False) == []


NAMES = st.lists(st.integers(0, 30), unique=True).map(lambda found: [f"{n:03d}_x" for n in sorted(found)])


@given(NAMES, st.integers(0, 30))
def test_what_was_applied_up_to_some_point_leaves_the_rest(names: list[str], cut: int) -> None:
    ledger = [row(name) for name in names[:cut]]
    assert schema.pending([file(name) for name in names], ledger) == names[cut:]


# --- releases


def test_a_release_can_live_with_what_does_not_break_it() -> None:
    older = schema.stated([file("001_a")])
    newer = schema.stated([file("001_a"), file("002_b"), file("003_c", breaking=True)])
    assert newer == {"migrations": ["001_a", "002_b", "003_c"], "breaking": ["003_c"]}
    breaking = schema.breaking([older, newer])
    assert schema.can_live_with(older, ["001_a", "002_b"], breaking) == []
    assert schema.can_live_with(older, ["001_a", "002_b", "003_c"], breaking) == ["003_c"]
    assert schema.can_live_with(newer, ["001_a", "002_b", "003_c"], breaking) == []
    assert schema.can_live_with({}, ["003_c"], breaking) == ["003_c"]
    assert schema.irreversible(["002_b"], newer) == []
    assert schema.irreversible(["002_b", "003_c"], newer) == ["003_c"]


def test_messages_name_the_way_out() -> None:
    text = schema.cannot_go_back("3f9c", ["003_c"], "/var/lib/hostwright/snapshots/x/dumps/shop")
    assert "003_c" in text
    assert "/var/lib/hostwright/snapshots/x/dumps/shop" in text
    assert "mend forward with a new release" in text
    assert "--data irreversible=1" in schema.cannot_be_undone("3f9c", ["003_c", "004_d"])


def test_statement_of_the_example() -> None:
    example = Path(__file__).resolve().parent.parent.parent / "examples" / "rec_io"
    assert schema.statement(example, "migrations")["migrations"][0] == "001_initial_schema"
    assert schema.statement(example, None) == {"migrations": [], "breaking": []}
