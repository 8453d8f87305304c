"""Run the portfolio manager in the foreground: ``python -m portfolio_manager``."""

from __future__ import annotations

import sys

from portfolio_manager import lifecycle


def main() -> int:
    """Run until SIGTERM or SIGINT; return 0, or 2 if a setting is not usable."""
    # Before the imports below, which take most of the start-up: a SIGTERM then must end in exit code 0 too.
    stop = lifecycle.install()

    from portfolio_manager.service import run

    return run(stop)


if __name__ == "__main__":
    sys.exit(main())
