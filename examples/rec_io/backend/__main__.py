"""Run one service in the foreground: ``python -m backend main_app``."""

from __future__ import annotations

import sys

from backend import SERVICES, lifecycle


def main(argv: list[str]) -> int:
    """Run the service named by the one argument, until SIGTERM or SIGINT."""
    if len(argv) != 1 or argv[0] not in SERVICES:
        given = " ".join(argv) or "nothing"
        print(f"usage: python -m backend SERVICE (got {given})\n\nSERVICE is one of:", file=sys.stderr)
        print("\n".join(f"  {name}" for name in SERVICES), file=sys.stderr)
        return 2
    # Before the imports below, which take most of the start-up: a SIGTERM then must end in exit code 0 too.
    stop = lifecycle.install()

    from importlib import import_module

    from backend.service import run

    return run(import_module(f"backend.services.{argv[0]}").SERVICE, stop)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
