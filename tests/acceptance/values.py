"""Compare a declared PostgreSQL setting with the form in which the server shows it."""

from __future__ import annotations

import re

from settings.postgresql import SettingValue

# How many of the smaller unit the larger one is; from the manual, "Parameter Names and Values".
BYTES = {"B": 1, "kB": 1024, "MB": 1024**2, "GB": 1024**3, "TB": 1024**4}
MICROSECONDS = {"us": 1, "ms": 1000, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
TRUE, FALSE = {"on", "true", "yes", "1"}, {"off", "false", "no", "0"}


def same(declared: SettingValue, shown: dict[str, object]) -> bool:
    """
    Say whether the server's value is the declared one.

    + declared: as in group_data, such as "500ms", 20 or True
    + shown: a row of pg_settings: `setting`, `unit` such as "8kB" or "ms", `type`

    Example: `same("5min", {"setting": "300000", "unit": "ms", "type": "integer"})`
    """
    setting, kind = str(shown["setting"]), shown["type"]
    text = {True: "on", False: "off"}.get(declared) if isinstance(declared, bool) else str(declared)
    assert text is not None
    if kind == "bool":
        return (text.lower() in TRUE and setting == "on") or (text.lower() in FALSE and setting == "off")
    if kind in ("integer", "real"):
        wanted = _number(text, str(shown["unit"] or ""))
        return wanted is not None and abs(wanted - float(setting)) <= 0.5 * (kind == "integer")
    return text.lower() == setting.lower() if kind == "enum" else text == setting


def _number(text: str, unit: str) -> float | None:
    """Convert a number with an optional unit to the server's unit."""
    found = re.fullmatch(r"\s*(-?[0-9.]+)\s*([A-Za-z]*)\s*", text)
    if found is None:
        return None
    value, given = float(found[1]), found[2]
    if not given:
        return value
    base = re.fullmatch(r"(\d*)(\D+)", unit)
    if base is None:
        return None
    for table in (BYTES, MICROSECONDS):
        if given in table and base[2] in table:
            return value * table[given] / (int(base[1] or 1) * table[base[2]])
    return None
