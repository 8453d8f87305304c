"""The host programs of PostgreSQL, as far as they run without a server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib.util
import json
import os
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facts.script import HOST_PROGRAMS, text


@pytest.fixture(scope="module")
def password() -> ModuleType:
    spec = importlib.util.spec_from_file_location("postgres_password", HOST_PROGRAMS / "postgres-password.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError("postgres-password.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_verifier_takes_part_in_the_exchange_of_rfc_7677(password: ModuleType) -> None:
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    salt = "W22ZaJ0SNY7soEsUEjb6gQ=="
    said = f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s={salt},i=4096,c=biws,r={nonce}".encode()
    made = password.verifier("pencil", base64.b64decode(salt), 4096)
    head, keys = made.removeprefix("SCRAM-SHA-256$").split("$")
    assert head == f"4096:{salt}"
    stored, server = (base64.b64decode(key) for key in keys.split(":"))
    assert hmac.digest(server, said, "sha256") == base64.b64decode(
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    )
    proof = base64.b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    client = bytes(a ^ b for a, b in zip(proof, hmac.digest(stored, said, "sha256"), strict=True))
    assert hashlib.sha256(client).digest() == stored


@settings(max_examples=20, deadline=None)
@given(one=st.text(min_size=1), other=st.text(min_size=1), salt=st.binary(min_size=1, max_size=32))
def test_only_the_same_password_matches(password: ModuleType, one: str, other: str, salt: bytes) -> None:
    one, other = (text.encode(errors="replace").decode() for text in (one, other))
    kept = password.verifier(one, salt, 10)
    assert password.same(one, kept)
    assert password.same(other, kept) == (one == other)
    assert not password.same(one, "md5" + "0" * 32)
    assert not password.same(one, "")


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"), ("user", "user"), ("USER", "USER"), ("\u00aa", "a"), ("\u2168", "IX"),
        ("p\u00a0w", "p w"), ("ﬁ", "fi"), ("a\u0308", "\u00e4"),
    ],
)  # fmt: skip
def test_passwords_are_prepared_as_rfc_4013_says(password: ModuleType, text: str, prepared: str) -> None:
    assert password.saslprep(text) == prepared


@pytest.mark.parametrize("text", ["\u0627\u0031", "a\ue000", "a\U000e0001", "\u00ad", "a\u0627", "a\u0221"])
def test_passwords_that_clients_would_prepare_differently_are_refused(
    password: ModuleType, text: str
) -> None:
    with pytest.raises(password.RefusedError):
        password.saslprep(text)


@pytest.mark.parametrize(
    ("content", "read"),
    [(b"secret\n", "secret"), (b"secret", "secret"), (b" secret \n", " secret "), (b"a\\'b\n", "a\\'b")],
)
def test_one_newline_at_the_end_is_not_part_of_a_password(
    password: ModuleType, tmp_path: Path, content: bytes, read: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    file.chmod(0o600)
    assert password.read_password(str(file)) == read


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        (b"", 0o600, "is empty"), (b"\n", 0o600, "is empty"), (b"a\n\n", 0o600, "more than one line"),
        (b"a\0", 0o600, "control character"), (b"\xff", 0o600, "is not UTF-8"), (b"a\n", 0o640, "chmod 0600"),
    ],
)  # fmt: skip
def test_password_files_that_are_refused(
    password: ModuleType, tmp_path: Path, content: bytes, mode: int, words: str
) -> None:
    file = tmp_path / "password"
    file.write_bytes(content)
    file.chmod(mode)
    with pytest.raises(password.RefusedError, match=words):
        password.read_password(str(file))
    with pytest.raises(password.RefusedError, match="does not exist"):
        password.read_password(str(tmp_path / "none"))
    with pytest.raises(password.RefusedError, match="not a regular file"):
        password.read_password(str(tmp_path))


def cluster(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(HOST_PROGRAMS / "postgres-cluster.sh"), *arguments],
        env={**os.environ, "PG_CLUSTER_CONF_ROOT": str(root)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def make_cluster(root: Path, name: str) -> Path:
    conf = root / name
    conf.mkdir(parents=True)
    data = root / "data" / name
    data.mkdir(parents=True)
    (conf / "postgresql.conf").write_text(f"#data_directory = '/no'\n data_directory='{data}' # here\n")
    return data


def test_bare_host_is_silent_for_facts_and_an_error_for_operations(tmp_path: Path) -> None:
    for need in ("ask-up", "ask-exists"):
        done = cluster(tmp_path, "", need, "echo", "no")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for need in ("up", "exists"):
        done = cluster(tmp_path, "", need, "echo", "no")
        assert (done.returncode, done.stdout) == (1, "")
        assert "install the package postgresql first" in done.stderr


def test_several_clusters_are_named_and_one_can_be_chosen(tmp_path: Path) -> None:
    make_cluster(tmp_path, "15/main")
    make_cluster(tmp_path, "17/main")
    done = cluster(tmp_path, "", "exists", "echo", "no")
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        "several clusters: 15/main 17/main; name one, such as 17/main: postgresql.cluster in group_data"
        in done.stderr
    )
    assert cluster(tmp_path, "", "ask-up", "echo", "no").stdout == ""
    assert cluster(tmp_path, "15/main", "exists", "sh", "-c", "echo $CLUSTER").stdout == "15/main\n"
    assert "no cluster 16/main" in cluster(tmp_path, "16/main", "exists", "true").stderr


def test_program_finds_the_only_cluster_and_where_it_listens(tmp_path: Path) -> None:
    data = make_cluster(tmp_path, "15/main")
    say = ("sh", "-c", 'echo "$CLUSTER_VERSION $CLUSTER_DATA $PGHOST $PGPORT"')
    assert cluster(tmp_path, "", "exists", *say).stdout == f"15 {data} /var/run/postgresql 5432\n"
    pid_file = data / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{data}\n1\n5433\n/run/here\n127.0.0.1\n1 2\nready   \n")
    assert cluster(tmp_path, "", "up", *say).stdout == f"15 {data} /run/here 5433\n"


@pytest.mark.parametrize(
    ("pid", "status"), [("4194305", "ready"), (str(os.getpid()), "stopping")], ids=["gone", "stopping"]
)
def test_server_that_is_down_or_not_ready(tmp_path: Path, pid: str, status: str) -> None:
    data = make_cluster(tmp_path, "15/main")
    (data / "postmaster.pid").write_text(f"{pid}\n{data}\n1\n5433\n/run/here\n*\n1 2\n{status}\n")
    assert cluster(tmp_path, "", "ask-up", "echo", "no").stdout == ""
    if pid != str(os.getpid()):  # otherwise it waits half a minute for it
        done = cluster(tmp_path, "", "up", "echo", "no")
        assert (done.returncode, "does not accept connections" in done.stderr) == (1, True)


@pytest.mark.parametrize("lines", [0, 1, 4, 7])
def test_a_server_that_has_not_written_all_of_its_file_is_not_up(tmp_path: Path, lines: int) -> None:
    data = make_cluster(tmp_path, "15/main")
    whole = [str(os.getpid()), str(data), "1", "5433", "/run/here", "*", "1 2"]
    (data / "postmaster.pid").write_text("".join(f"{line}\n" for line in whole[:lines]))
    done = cluster(tmp_path, "", "ask-up", "echo", "no")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_last_data_directory_of_a_configuration_counts(tmp_path: Path) -> None:
    data = make_cluster(tmp_path, "15/main")
    with (tmp_path / "15/main/postgresql.conf").open("a") as file:
        file.write("data_directory = '/another/one'\n# data_directory = '/none'\n")
    said = cluster(tmp_path, "", "exists", "sh", "-c", "echo $CLUSTER_DATA").stdout
    assert said == "/another/one\n" != f"{data}\n"


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """The configuration of a cluster whose server runs, as far as its files tell; nobody answers there."""
    data = make_cluster(tmp_path, "15/main")
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n1\n5433\n/run/here\n*\n1 2\nready   \n")
    return tmp_path


NOTHING: dict[str, Any] = {"queries": "", "database": None, "inside": "", "given": "", "variables": {}}


def asked(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Ask as facts do, the clusters whose configuration is below a directory."""
    env = {"PATH": os.environ["PATH"], "PG_CLUSTER_CONF_ROOT": str(root), "PGDATABASE": "another"}
    return subprocess.run(
        ["python3", "-I", "-c", text("postgres-ask.py"), *words],
        env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip


def request(cluster: str = "", **wanted: Any) -> list[str]:
    return [text("postgres-cluster.sh"), cluster, json.dumps({**NOTHING, **wanted})]


SAY = (
    "import os, sys\n"
    "class Error(Exception): pass\n"
    "def main(*words):\n"
    "    print(os.environ['CLUSTER'], 'PGDATABASE' in os.environ, os.getcwd(), words, sys.stdin.read())\n"
    "    return 3\n"
    "if __name__ == '__main__': sys.exit(main(*sys.argv[1:]))\n"
)
SAID = "15/main False / ('one', \"it's two\") \n"


def test_a_facts_program_finds_the_cluster_in_its_environment(server: Path) -> None:
    done = asked(server, "alone", *request(), SAY, "one", "it's two")
    assert (done.returncode, done.stdout, done.stderr) == (3, SAID, "")


def test_nothing_runs_where_there_is_no_cluster_or_no_server(tmp_path: Path) -> None:
    for words in (request(), request("15/main")):
        done = asked(tmp_path, "alone", *words, SAY)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    make_cluster(tmp_path, "15/main")
    done = asked(tmp_path, "alone", *request(queries="select 1;"), SAY)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_facts_program_does_not_run_after_sql_that_failed(server: Path) -> None:
    done = asked(server, "alone", *request(queries="select 1;"), SAY)
    assert done.returncode > 0
    assert done.stdout == ""


def test_several_are_answered_each_in_its_place(server: Path) -> None:
    """What fails is one's own, and so is what is not there."""
    members = [
        [*request(), SAY, "one", "it's two"],
        [*request("17/main"), SAY],
        [*request(queries="select 1;"), SAY],
        [*request(), "import sys; sys.exit('no')"],
        [*request(), "raise ValueError('bad')"],
        [*request(), "import os, sys; print(sys.argv, sorted(vars()))", "\u00fc"],
    ]
    done = asked(server, "together", json.dumps(members))
    assert (done.returncode, done.stderr) == (0, "")
    first, absent, failed, refused, raised, last = map(json.loads, done.stdout.splitlines())
    assert first == [SAID, "", 3]
    assert absent == ["", "", 0]
    assert failed[0] == ""
    assert failed[2] > 0
    assert refused == ["", "no\n", 1]
    assert (raised[0], raised[1].splitlines()[-1], raised[2]) == ("", "ValueError: bad", 1)
    names = ["__builtins__", "__doc__", "__loader__", "__name__", "__package__", "__spec__", "os", "sys"]
    assert last == [f"['-c', '\u00fc'] {names}\n", "", 0]
