"""The form of a gate spec: what each kind needs and may have; everything else is refused before it counts."""

import re

from gates_common import excerpt


class SpecError(Exception):
    """What is wrong with the spec and what to write."""


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def is_count(value):
    return isinstance(value, int) and is_number(value)


def is_text(value):
    return isinstance(value, str) and value != "" and "\0" not in value


def is_texts(value):
    return isinstance(value, list) and bool(value) and all(map(is_text, value))


def is_table(value):
    return isinstance(value, dict) and bool(value)


def is_flag(value):
    return isinstance(value, bool)


def is_url(value):
    return is_text(value) and re.fullmatch(r"http://[A-Za-z0-9.-]+(:\d{1,5})?(/[!-~]*)?", value) is not None


def is_pattern(value):
    try:
        return is_text(value) and re.compile(value) is not None
    except re.error:
        return False


WORDS = {
    is_number: "a number, 0 or more",
    is_count: "a whole number, 0 or more",
    is_text: "a text",
    is_texts: "a list of texts",
    is_table: "a table",
    is_flag: "true or false",
    is_url: "an address like http://127.0.0.1:3000/health",
    is_pattern: "a regular expression",
}
EVERY = {"kind": is_text, "service": is_text, "seconds": is_number}
# Kind to the keys that it needs, and those that it may have.
KINDS = {
    "running": ({}, {"stays": is_number, "socket": is_text, "programs": is_texts, "units": is_table}),
    "http": ({"url": is_url}, {"status": is_count, "contains": is_text, "json": is_table}),
    "tcp": ({"host": is_text, "port": is_count}, {}),
    "sql": ({"query": is_text}, {"returns": lambda value: isinstance(value, str), "max_age": is_number}),
    "file_age": ({"path": is_text, "max_age": is_number}, {"json": is_flag, "new": is_flag}),
    "count": ({"path": is_text}, {"what": is_text, "by": is_count}),
    "log": ({"pattern": is_pattern}, {"files": is_texts, "units": is_texts, "stays": is_number}),
    "command": ({"command": is_texts}, {"exit_code": is_count, "contains": is_text}),
}
TOP = {
    "app": is_text, "gates": lambda value: isinstance(value, list) and bool(value), "user": is_text,
    "directory": is_text, "env_file": is_text, "secrets": is_texts, "database": is_table, "logs": is_table,
}  # fmt: skip
DATABASE = {
    "host": is_text, "port": is_count, "database": is_text, "role": is_text, "password_file": is_text,
    "sslmode": is_text,
}  # fmt: skip
# What a gate needs of the spec itself.
NEEDS = {"sql": ("database", "user"), "command": ("user",)}


def check_table(place, table, needed, optional):
    if not isinstance(table, dict):
        raise SpecError(f"{place} is not a table; write {{...}}")
    known = {**optional, **needed}
    for key in needed:
        if key not in table:
            raise SpecError(f"{place}: {key!r} is missing")
    for key, value in table.items():
        if key not in known:
            raise SpecError(f"{place}: there is no {key!r}; known here: {', '.join(sorted(known))}")
        if not known[key](value):
            raise SpecError(f"{place}: {key} is {value!r}; write {WORDS.get(known[key], 'another value')}")


def check_spec(spec):
    check_table("the spec", spec, {key: TOP[key] for key in ("app", "gates")}, TOP)
    if "database" in spec:
        check_table(
            "database",
            spec["database"],
            {key: DATABASE[key] for key in DATABASE if key != "sslmode"},
            DATABASE,
        )
    for label, source in spec.get("logs", {}).items():
        check_table(f"logs.{label}", source, {}, {"files": is_texts, "unit": is_text})
    for number, gate in enumerate(spec["gates"]):
        kind = gate.get("kind") if isinstance(gate, dict) else None
        if kind not in KINDS:
            raise SpecError(f"gates.{number}: kind is {kind!r}; write one of {', '.join(KINDS)}")
        place = f"gates.{number} ({kind})"
        needed, optional = KINDS[kind]
        check_table(place, gate, needed, {**EVERY, **optional})
        for key in NEEDS.get(kind, ()):
            if key not in spec:
                raise SpecError(f"{place} needs {key!r} in the spec")
        if kind == "running" and ("units" in gate) == ("socket" in gate and "programs" in gate):
            raise SpecError(f"{place} needs 'socket' and 'programs', or 'units'")
        if kind == "log" and "files" not in gate and "units" not in gate:
            raise SpecError(f"{place} needs 'files' or 'units'")
        if gate.get("what", "files") not in ("files", "lines"):
            raise SpecError(f"{place}: what is {gate['what']!r}; write 'files' or 'lines'")


def title(spec, gate):
    """Name a gate for people: whose it is, its kind, and what it asks."""
    kind = gate["kind"]
    about = {
        "http": lambda: gate["url"],
        "tcp": lambda: f"{gate['host']} port {gate['port']}",
        "sql": lambda: gate["query"],
        "command": lambda: " ".join(gate["command"]),
        "log": lambda: gate["pattern"],
        "running": lambda: "",
    }.get(kind, lambda: gate["path"])()
    return f"{gate.get('service', spec['app'])}: {kind} {excerpt(about)}".rstrip()
