"""Dumps, and the programs of the host that read them, for the tests of restores."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

from facts.script import text

HOST = Path(__file__).resolve().parents[2] / "files" / "host"
PLAIN = (
    "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.18\n\n"
    "\\restrict abc\nSET lock_timeout = 0;\n"
    "CREATE FUNCTION public.f() RETURNS int LANGUAGE plpgsql AS $$\nbegin\nGRANT x TO y;\nend $$;\n"
    "ALTER FUNCTION public.f() OWNER TO somebody;\n"
    "COPY public.t (a) FROM stdin;\nGRANT this is data;\n\\.\n"
    "GRANT SELECT ON TABLE public.t TO reader;\n"
    "--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n"
)


def tar(path: Path, **files: str) -> Path:
    place = path.parent / "tree"
    for name, content in files.items():
        file = place / name.replace("__", "/").replace("_dot_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    with tarfile.open(path, "w") as archive:
        archive.add(place, arcname=".")
    return path


def host_python(program: str, body: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python after the text of a part of the host's programs."""
    return subprocess.run(
        [sys.executable, "-I", "-c", f"{text(program)}\nimport sys\n{body}", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
