# How statements are shown: without a value of anybody's. A part of postgres-queries.py and diagnose.py.
import re

# As psql reads a text; a value that is never closed reaches to its end.
VALUES = re.compile(
    r"""
      (?P<comment>--[^\n]*|/\*.*?(?:\*/|\Z))
    | (?P<name>"(?:[^"]|"")*(?:"|\Z))
    | (?P<value>[eE]'(?:[^'\\]|\\.|'')*(?:'|\Z)|(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*(?:'|\Z)
        |\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z))
    | (?P<parameter>\$\d+)
    | (?P<word>[^\W\d][\w$]*)
    | (?P<number>\d[\w.]*)
    """,
    re.VERBOSE | re.DOTALL,
)
# The server takes the values out of these by itself; of any other only its kind is shown.
NORMALIZED = ("SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "WITH", "VALUES", "TABLE")
SHOWN_CHARACTERS = 300


def without_values(query):
    """Return a statement in one line and without its values; of one that is no query its kind alone."""

    def cleaned(found):
        if found["comment"] is not None:
            return " "
        if found["value"] is not None or found["number"] is not None:
            return "?"
        return found[0]

    text = " ".join(VALUES.sub(cleaned, query).split())
    words = re.findall(r"[A-Za-z_]+", text)
    if not words or words[0].upper() not in NORMALIZED:
        return f"{' '.join(words[:2]).upper()} …" if words else "…"
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"
