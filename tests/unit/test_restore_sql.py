"""Restores of plain SQL: which lines are left out, and which are refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.dumps import PLAIN, host_python

LINES = """
try:
    plain = Plain(sys.argv[1])
    sys.stdout.write(b"".join(plain.lines()).decode())
    print("version", plain.version)
except FailedError as error:
    print("refused:", error)
"""


def test_of_plain_sql_only_owners_and_privileges_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "dump.sql"
    path.write_text(PLAIN)
    said = host_python("restore_sql.py", LINES, str(path)).stdout
    assert "\nGRANT x TO y;\n" in said  # a function's body
    assert "\nGRANT this is data;\n" in said
    assert "OWNER TO" not in said
    assert "GRANT SELECT" not in said
    assert "restrict" not in said
    assert said.endswith("version 15.18\n")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("\\connect live\n", r"line 8 of the dump has \\connect"),
        ("\\! rm -rf /\n", r"line 8 of the dump has \\!"),
        ("DROP DATABASE live;\n", "line 8 of the dump has DROP DATABASE"),
        ("create role x;\n", "line 8 of the dump has create role"),
        ("COPY public.t (a) FROM stdin;\n1\n", "ends in the middle"),
    ],
)
def test_plain_sql_that_leads_elsewhere_is_refused(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "dump.sql"
    begin, _, rest = PLAIN.partition("SET lock_timeout")
    path.write_text(f"{begin}{line}" + ("" if line.startswith("COPY") else f"SET lock_timeout{rest}"))
    said = host_python("restore_sql.py", LINES, str(path)).stdout
    assert re.search(f"refused: .*{says}", said), said


INSERTED = r"""INSERT INTO public.t VALUES (1, 'it''s a text:
GRANT nothing TO nobody;
\! and no command
COPY x FROM stdin;
DROP DATABASE of cards;
-- PostgreSQL database cluster dump
costs $$ or $x$');
INSERT INTO public.t VALUES (2, E'it\'s
REVOKE it;
');
COMMENT ON TABLE public."a'b
GRANT it;" IS 'x'; /* it's /* and */ $$
REVOKE it; */
GRANT SELECT ON TABLE public.t TO reader;
"""


def test_no_line_of_a_text_is_left_out_or_refused(tmp_path: Path) -> None:
    """In what pg_dump --inserts writes, texts have their line breaks as they are."""
    dump = tmp_path / "dump"
    dump.write_text(INSERTED)
    said = host_python("restore_sql.py", LINES, str(dump)).stdout
    assert said == INSERTED.replace("GRANT SELECT ON TABLE public.t TO reader;\n", "") + "version None\n"
    dump.write_text(INSERTED + "\\! id\n")
    assert "has \\!, which could lead" in host_python("restore_sql.py", LINES, str(dump)).stdout
    dump.write_text(INSERTED[:60])
    assert "ends in the middle" in host_python("restore_sql.py", LINES, str(dump)).stdout
