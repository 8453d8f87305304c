"""Gates that are asked again until they pass or their time is over; each makes its look, run once a try."""

import glob
import http.client
import json
import os
import socket
import stat
import time
import urllib.parse

from gates_common import KEPT, Follower, RedError, excerpt, open_plain, run_program

JSON_LIMIT = 64 * KEPT


def patience(watch):
    """Return how long one try may take: a server that hung when it started may answer the next one."""
    return min(watch.left(), max(5.0, watch.seconds / 3))


def http_gate(gate, watch):
    url = urllib.parse.urlsplit(gate["url"])
    status, contains, json_has = gate.get("status", 200), gate.get("contains"), gate.get("json", {})
    wanted = [f"status {status}"]
    if contains is not None:
        wanted.append(f"a page that contains {contains!r}")
    wanted += [f"{path} = {json.dumps(value)}" for path, value in json_has.items()]
    expected = " and ".join(wanted)

    def look():
        seconds = patience(watch)
        connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=seconds)
        try:
            path = (url.path or "/") + (f"?{url.query}" if url.query else "")
            connection.request("GET", path, headers={"User-Agent": "hostwright", "Connection": "close"})
            answer = connection.getresponse()
            body = answer.read(KEPT).decode(errors="replace")
        except TimeoutError:
            raise RedError(expected, f"no answer in {seconds:.1f} s", cut=True) from None
        except (OSError, http.client.HTTPException) as error:
            raise RedError(expected, f"no answer: {error or type(error).__name__}") from None
        finally:
            connection.close()
        if answer.status != status:
            raise RedError(expected, f"status {answer.status}: {excerpt(body)}")
        if contains is not None and contains not in body:
            raise RedError(expected, f"a page without it: {excerpt(body)}")
        for place, value in json_has.items():
            found = json_value(body, place)
            if found != value or isinstance(found, bool) != isinstance(value, bool):
                raise RedError(expected, f"{place} = {excerpt(json.dumps(found))}: {excerpt(body)}")

    return look


def json_value(body, place):
    """Return what stands at a dotted place; None where there is nothing, or no JSON."""
    try:
        found = json.loads(body)
    except ValueError:
        return None
    for key in place.split("."):
        if isinstance(found, list) and key.isdigit() and int(key) < len(found):
            found = found[int(key)]
        elif isinstance(found, dict) and key in found:
            found = found[key]
        else:
            return None
    return found


def tcp_gate(gate, watch):
    def look():
        expected = f"a connection to {gate['host']} port {gate['port']}"
        try:
            socket.create_connection((gate["host"], gate["port"]), timeout=patience(watch)).close()
        except OSError as error:
            raise RedError(expected, f"{error}") from None

    return look


def sql_gate(gate, watch):
    base = watch.spec["database"]
    query = gate["query"].strip().rstrip(";")
    max_age, returns = gate.get("max_age"), gate.get("returns")
    if max_age is not None:
        expected = f"a time at most {max_age:g} s old from {query!r}"
        # By the server's own clock, whatever the time zone and the form of its answer.
        query = f"SELECT extract(epoch FROM clock_timestamp() - ({query})::timestamptz)"
    else:
        expected = f"{returns!r} from {query!r}" if returns is not None else f"a row from {query!r}"

    def look():
        with open(base["password_file"], encoding="utf-8", newline="") as file:
            password = file.read().removesuffix("\n")
        seconds = patience(watch)
        env = {
            "PGHOST": base["host"], "PGPORT": str(base["port"]), "PGDATABASE": base["database"],
            "PGUSER": base["role"], "PGPASSWORD": password, "PGSSLMODE": base.get("sslmode", "prefer"),
            "PGCONNECT_TIMEOUT": str(max(2, int(seconds))), "PGAPPNAME": "hostwright",
            # A gate looks: it must not be able to change anything, nor leave a query behind that runs on.
            "PGOPTIONS": f"-c default_transaction_read_only=on -c statement_timeout={int(seconds * 1000)}",
        }  # fmt: skip
        words = ["psql", "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-c", query]
        code, said = run_program(words, seconds, env=env, user=watch.spec["user"])
        if code is None:
            raise RedError(expected, f"no answer in {seconds:.1f} s", cut=True)
        if code != 0:
            raise RedError(expected, excerpt(said) or f"psql ended with exit code {code}")
        if not said:
            raise RedError(expected, "no row")
        answer = said[:-1] if said.endswith("\n") else said
        if max_age is not None:
            if not answer:
                raise RedError(expected, "no time: NULL, or no row")
            if float(answer) > max_age:
                raise RedError(expected, f"{float(answer):.1f} s")
        elif returns is not None and answer != returns:
            raise RedError(expected, repr(excerpt(answer)))

    return look


def files_at(pattern):
    """Return (path, status) of the plain files of a directory and all below it, or of a pattern."""
    if os.path.isdir(pattern):
        paths = (os.path.join(top, one) for top, _, names in os.walk(pattern) for one in names)
    else:
        paths = glob.glob(pattern, recursive=True)
    found = []
    for path in paths:
        # A hidden file is one that is still being written.
        if os.path.basename(path).startswith("."):
            continue
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            continue
        if stat.S_ISREG(status.st_mode):
            found.append((path, status))
    return found


def file_age_gate(gate, watch):
    path, max_age = gate["path"], gate["max_age"]
    expected = f"a file in {path} at most {max_age:g} s old"
    if gate.get("new"):
        expected += ", written since the gates began"
    if gate.get("json"):
        expected += ", and every .json of it whole"
    whole = set()

    def look():
        files = files_at(path)
        if not files:
            raise RedError(expected, "no file")
        newest, status = max(files, key=lambda one: one[1].st_mtime)
        age = time.time() - status.st_mtime
        if age > max_age:
            raise RedError(expected, f"the newest one, {newest}, is {age:.0f} s old")
        if gate.get("new") and status.st_mtime < (watch.since or watch.began_at):
            raise RedError(expected, f"none since; the newest one, {newest}, is {age:.1f} s old")
        for one, found in files if gate.get("json") else ():
            version = (one, found.st_ino, found.st_mtime_ns, found.st_size)
            if one.endswith(".json") and version not in whole:
                check_json(one, expected)
                whole.add(version)

    return look


def check_json(path, expected):
    try:
        with open_plain(path) as file:
            if os.fstat(file.fileno()).st_size > JSON_LIMIT:
                raise RedError(expected, f"{path} is larger than {JSON_LIMIT >> 20} MiB: not read")
            json.loads(file.read())
    except FileNotFoundError:
        return  # replaced or removed meanwhile
    except (ValueError, RecursionError) as error:
        # Not its content: the position is enough to find it.
        raise RedError(expected, f"{path} is not JSON: {excerpt(str(error))}") from None


def count_gate(gate, watch):
    path, by = gate["path"], gate.get("by", 1)
    what = gate.get("what", "files")
    expected = f"{by} more {what} in {path} within {watch.seconds:g} s"
    follower = Follower([f"{path}/*" if os.path.isdir(path) else path]) if what == "lines" else None
    before = len(files_at(path))
    grown = 0

    def look():
        nonlocal grown
        if follower is not None:
            grown += sum(1 for _ in follower.lines())
        else:
            grown = len(files_at(path)) - before
        if grown < by:
            of = "" if follower is not None else f" ({before} at first)"
            raise RedError(expected, f"{grown} more{of}")

    return look


def env_of(path):
    """Read an environment file as systemd does, in the forms that hostwright writes."""
    found = {}
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file.read().split("\n"):
            key, equals, value = line.partition("=")
            if not equals or line.startswith("#"):
                continue
            if value[:1] == value[-1:] == "'" and len(value) > 1:
                value = value[1:-1]
            elif value[:1] == value[-1:] == '"' and len(value) > 1:
                value = "".join(part[-1] for part in split_escapes(value[1:-1]))
            found[key] = value
    return found


def split_escapes(text):
    """Cut a text into characters; one after a backslash stays with it."""
    parts, rest = [], iter(text)
    for one in rest:
        parts.append(one + next(rest, "") if one == "\\" else one)
    return parts


def command_gate(gate, watch):
    wanted, contains = gate.get("exit_code", 0), gate.get("contains")
    words = gate["command"]
    expected = f"exit code {wanted}"
    if contains is not None:
        expected += f" and {contains!r}"
    expected += f" from {' '.join(words)!r}"

    def look():
        env = env_of(watch.spec["env_file"]) if "env_file" in watch.spec else {}
        seconds = watch.left()
        code, said = run_program(
            words, seconds, env=env, user=watch.spec["user"], directory=watch.spec.get("directory", "/")
        )
        heard = excerpt(said, end=True)
        if code is None:
            killed = f"it was not done after {seconds:.1f} s and was killed: {heard or 'silent'}"
            raise RedError(expected, killed, cut=True)
        if code != wanted:
            raise RedError(expected, f"exit code {code}: {heard or 'silent'}")
        if contains is not None and contains not in said:
            raise RedError(expected, f"exit code {code}, but: {heard or 'silent'}")

    return look


POLLED = {
    "http": http_gate,
    "tcp": tcp_gate,
    "sql": sql_gate,
    "file_age": file_age_gate,
    "count": count_gate,
    "command": command_gate,
}
