"""
Supervisor's own interface, over its socket: XML-RPC by hand, as far as supervisor uses it.

Its client library, or Python's, takes 25 ms of a core to import: http.client, email, ssl and more.
"""

import socket
from xml.parsers import expat


class SupervisorError(Exception):
    """Supervisor did not answer as it should; the text says how."""


class FaultError(SupervisorError):
    """Supervisor refused, such as "NOT_RUNNING: main_app"."""


# What it means that supervisor does not answer, or not in a way that can be read.
NO_ANSWER = (OSError, SupervisorError)


class Supervisor:
    """Supervisor at a socket: `Supervisor(path, 5).getAllProcessInfo()`; one that hangs is no excuse to."""

    def __init__(self, path, seconds):
        self._path, self._seconds = path, seconds

    def __getattr__(self, name):
        return lambda *arguments: self._call(f"supervisor.{name}", arguments)

    def several(self, *names):
        """Return what several questions without arguments come to, asked at once, one after the other."""
        calls = [{"methodName": f"supervisor.{name}", "params": []} for name in names]
        answers = self._call("system.multicall", [calls])
        for one in answers:
            if isinstance(one, dict) and "faultString" in one:
                raise FaultError(one["faultString"])
        return answers

    def _call(self, method, arguments):
        params = "".join(f"<param>{xml_of(one)}</param>" for one in arguments)
        call = f"<methodCall><methodName>{method}</methodName><params>{params}</params></methodCall>"
        return value_of_xml(xml_answer(self._path, self._seconds, f"<?xml version='1.0'?>{call}".encode()))


def supervisor_at(path, seconds):
    """Return the interface of the supervisor at a socket; an answer may take so many seconds."""
    return Supervisor(path, seconds)


def xml_of(one):
    if isinstance(one, bool):
        text = f"<boolean>{one:d}</boolean>"
    elif isinstance(one, int):
        text = f"<int>{one}</int>"
    elif isinstance(one, dict):
        members = (f"<member><name>{xml_text(key)}</name>{xml_of(of)}</member>" for key, of in one.items())
        text = f"<struct>{''.join(members)}</struct>"
    elif isinstance(one, list):
        text = f"<array><data>{''.join(map(xml_of, one))}</data></array>"
    else:
        text = f"<string>{xml_text(one)}</string>"
    return f"<value>{text}</value>"


def xml_text(text):
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def xml_answer(path, seconds, body):
    """Send one request and return what comes back, without its head."""
    head = (
        "POST /RPC2 HTTP/1.0\r\nHost: localhost\r\nContent-Type: text/xml\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(seconds)
        line.connect(path)
        line.sendall(head.encode() + body)
        said = b""
        while piece := line.recv(65536):
            said += piece
    first, found, content = said.partition(b"\r\n\r\n")
    status = first.split(b"\r\n")[0].decode(errors="replace")
    if not found or status.split(" ")[1:2] != ["200"]:
        raise SupervisorError(f"it answered {status!r}")
    return content


def value_of_xml(content):
    """Return the value of an answer; raise `FaultError` where it is one."""
    values, begun, words = [], [], []
    typed = fault = False

    def start(tag, _):
        nonlocal typed
        if tag in ("array", "struct"):
            begun.append(len(values))
        typed = typed and tag != "value"
        words.clear()

    def end(tag):
        nonlocal typed, fault
        text = "".join(words)
        if tag in ("array", "struct"):
            at = begun.pop()
            inside = values[at:]
            values[at:] = [inside if tag == "array" else dict(zip(inside[::2], inside[1::2]))]  # noqa: B905  # strict= came in Python 3.10
        elif tag in XML_VALUES:
            values.append(XML_VALUES[tag](text))
        elif tag == "value" and not typed:
            values.append(text)
        fault = fault or tag == "fault"
        typed = True

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = words.append
    try:
        parser.Parse(content, True)
        value = values[0]
    except (expat.ExpatError, ValueError, IndexError) as error:
        raise SupervisorError(f"its answer cannot be read: {error}") from None
    if fault:
        raise FaultError(value["faultString"])
    return value


XML_VALUES = {
    "int": int,
    "i4": int,
    "double": float,
    "boolean": lambda text: text.strip() == "1",
    "string": str,
    "name": str,
    "nil": lambda _: None,
}
