"""XML-RPC by hand against Python's own library: what supervisor is asked, and what it answers."""

from __future__ import annotations

import importlib.util
import socket
import socketserver
import threading
import xmlrpc.client
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from xmlrpc.server import SimpleXMLRPCDispatcher, SimpleXMLRPCRequestHandler

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facts.script import HOST_PROGRAMS

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
PLAIN = st.one_of(st.booleans(), st.integers(-(2**31), 2**31 - 1), TEXT)
VALUES = st.recursive(
    PLAIN, lambda of: st.one_of(st.lists(of, max_size=3), st.dictionaries(TEXT, of, max_size=3)), max_leaves=8
)


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("supervisor_rpc", HOST_PROGRAMS / "supervisor_rpc.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RPC: Any = loaded()


class Handler(SimpleXMLRPCRequestHandler):
    disable_nagle_algorithm = False

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def address_string(self) -> str:
        return "unix"


class Server(socketserver.ThreadingUnixStreamServer, SimpleXMLRPCDispatcher):
    logRequests = False  # noqa: N815
    daemon_threads = True


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    """A server that says again what it is told, counts, and refuses."""
    asked = []

    def count() -> int:
        asked.append(1)
        return len(asked)

    def refuse() -> None:
        raise xmlrpc.client.Fault(70, "NOT_RUNNING: <web> & co")

    def multicall(calls: Any) -> list[Any]:
        # As supervisor's own: an answer, and not a list of one; a fault in its place.
        found: list[Any] = []
        for call in calls:
            try:
                found.append(server._dispatch(call["methodName"], call["params"]))
            except xmlrpc.client.Fault as fault:
                found.append({"faultCode": fault.faultCode, "faultString": fault.faultString})
        return found

    file = str(tmp_path / "sock")
    server = Server(file, Handler)
    SimpleXMLRPCDispatcher.__init__(server, allow_none=True)
    server.register_function(lambda *said: list(said), "supervisor.again")
    server.register_function(count, "supervisor.count")
    server.register_function(refuse, "supervisor.refuse")
    server.register_function(multicall, "system.multicall")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield file
    server.shutdown()
    server.server_close()


@given(VALUES)
def test_what_is_read_is_what_was_meant(value: Any) -> None:
    text = xmlrpc.client.dumps((value,), methodresponse=True)
    assert RPC.value_of_xml(text.encode()) == value
    assert xmlrpc.client.loads(f"<params><param>{RPC.xml_of(value)}</param></params>")[0] == (value,)


def test_questions_and_answers(path: str) -> None:
    asked = RPC.supervisor_at(path, 5)
    assert asked.again("web", False, 7) == ["web", False, 7]
    assert asked.several("count", "count", "again") == [1, 2, []]


def test_a_refusal_is_told_in_its_words(path: str) -> None:
    asked = RPC.supervisor_at(path, 5)
    with pytest.raises(RPC.FaultError, match=r"^NOT_RUNNING: <web> & co$"):
        asked.refuse()
    with pytest.raises(RPC.FaultError, match=r"^NOT_RUNNING: <web> & co$"):
        asked.several("count", "refuse")


def test_a_value_without_a_type_is_text() -> None:
    inside = "<methodResponse><params><param><value>{}</value></param></params></methodResponse>"
    assert RPC.value_of_xml(inside.format("plain &amp; simple").encode()) == "plain & simple"
    array = "<array><data><value>one</value><value><int>2</int></value><value></value></data></array>"
    assert RPC.value_of_xml(inside.format(array).encode()) == ["one", 2, ""]


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.0 500 No\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n<a>", b"junk"],
)
def test_what_cannot_be_read_is_no_answer(tmp_path: Path, said: bytes) -> None:
    file = str(tmp_path / "sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(file)
        server.listen()

        def answer() -> None:
            line, _ = server.accept()
            with line:
                line.recv(65536)
                line.sendall(said)

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(RPC.NO_ANSWER):
            RPC.supervisor_at(file, 5).getState()
    with pytest.raises(RPC.NO_ANSWER):
        RPC.supervisor_at(str(tmp_path / "none"), 5).getState()


def test_one_that_hangs_is_given_up(tmp_path: Path) -> None:
    file = str(tmp_path / "sock")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(file)
        server.listen()
        with pytest.raises(TimeoutError):
            RPC.supervisor_at(file, 0.1).getState()
