"""Converge lab hosts in turn with hostwright and others, write result.json, and print medians and ratios."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.converge import again, changes, contenders, first, many, picture, reference
from tests.lab import templates

HERE = Path(__file__).resolve().parent
RESULT, PICTURE = HERE / "result.json", HERE.parent.parent / "docs" / "converged-again.svg"


def machine() -> dict[str, object]:
    """Return what it ran on."""
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cpus": os.cpu_count(), "model": model[0].partition(": ")[2] if model else platform.machine(),
        "kernel": platform.release(), "python": platform.python_version(),
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.converge")
    parser.add_argument("--image", default="bookworm")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--round-trips", default="0,25,100", help="milliseconds")
    parser.add_argument("--first", type=int, default=3, help="how many first converges of each kind")
    parser.add_argument("--changes", type=int, default=3, help="how many releases, and changed templates")
    parser.add_argument("--hosts", default="1,5,20", help='of many converged hosts; "" for none')
    parser.add_argument("--programs", type=Path, required=True, help="of Ansible's environment")
    chosen = parser.parse_args()
    about: dict[str, object] = {"machine": machine(), "image": chosen.image}
    missed: list[str] = []
    try:
        with tempfile.TemporaryDirectory(prefix="hostwright-bench-") as made:
            place = Path(made)
            round_trips = [int(one) for one in chosen.round_trips.split(",") if one]
            if round_trips or chosen.first:
                with again.converged(chosen.image) as host:
                    packed = reference.packed(host)
                    touched, found = again.all_measured(
                        host, chosen.programs, round_trips, chosen.times, place
                    )
                about["touched though nothing was to be changed"] = touched
                about["round trips in ms"] = {key: asdict(one) for key, one in found.items()}
                missed += again.slow(found)
                if chosen.first:
                    once = first.measured(packed, chosen.image, chosen.first, place)
                    about["first converge"] = asdict(once)
                    missed += first.missed(once)
            if chosen.changes:
                changed = changes.measured(chosen.programs, chosen.image, chosen.changes, place)
                about["changes"] = {kind: asdict(one) for kind, one in changed.items()}
            if chosen.hosts:
                counts = [int(one) for one in chosen.hosts.split(",")]
                several = many.measured(counts, chosen.image, chosen.times, place)
                about["many hosts"] = asdict(several)
                missed += many.missed(several)
    finally:
        templates.forget(os.getpid())
    RESULT.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    if round_trips:
        medians = {milliseconds: one.medians for milliseconds, one in found.items()}
        PICTURE.write_text(picture.bars(medians, contenders.OURS, contenders.FLOOR), encoding="utf-8")
        print(again.table(found))
    print("\n".join(missed))
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
