"""The time that a line of a log begins with."""

import re
from datetime import datetime, timezone

# Before it there may be a level, a name or a bracket; further on it is what the line tells of.
WITHIN = 60
LINE_TIME = re.compile(rb"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,6})\d*)?\s?(Z|[+-]\d\d:?\d\d)?")


def line_time(line):
    """Return the time that a line, as bytes, begins with, or nearly so; None where there is none."""
    match = LINE_TIME.search(line, 0, WITHIN)
    if match is None:
        return None
    date, clock, fraction, zone = (one.decode() if one is not None else None for one in match.groups())
    try:
        at = datetime.strptime(f"{date} {clock}", "%Y-%m-%d %H:%M:%S")
        if zone == "Z":
            at = at.replace(tzinfo=timezone.utc)
        elif zone:
            at = datetime.strptime(f"{date} {clock} {zone.replace(':', '')}", "%Y-%m-%d %H:%M:%S %z")
        return at.timestamp() + float(f"0.{fraction or 0}")
    except ValueError:
        return None  # it only looks like one
