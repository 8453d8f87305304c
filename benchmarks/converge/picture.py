"""Draw what was measured as bars, for the README."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

WIDTH, LEFT, RIGHT = 760, 250, 70
BAR, GAP, GROUP = 16, 6, 34
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2933 }
.group { font-weight: 600 }
.ours { fill: #1f6feb }
.theirs { fill: #a3adb8 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .ours { fill: #58a6ff }
  .theirs { fill: #6e7781 }
}
"""


def bars(medians: Mapping[int, Mapping[str, float]], ours: str, left_out: str) -> str:
    """
    Return an SVG with a group of bars for each latency, all of one scale.

    + medians: milliseconds of round trip to label to seconds
    + ours: label whose bars stand out
    + left_out: label that has no bar
    """
    longest = max(seconds for group in medians.values() for seconds in group.values())
    scale = (WIDTH - LEFT - RIGHT) / longest
    parts, y = [], 4
    for milliseconds, group in medians.items():
        y += 20
        latency = f"{milliseconds} ms of round trip" if milliseconds else "no latency"
        parts.append(f'<text class="group" x="0" y="{y}">{latency}</text>')
        y += 8
        for label, seconds in sorted(group.items(), key=lambda one: one[1]):
            if label == left_out:
                continue
            kind = "ours" if label == ours else "theirs"
            length = max(1.0, seconds * scale)
            middle = y + BAR - 4
            parts += [
                f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{escape(label)}</text>',
                f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>',
                f'<text x="{LEFT + length + 6:.1f}" y="{middle}">{seconds:.1f} s</text>',
            ]
            y += BAR + GAP
        y += GROUP - 20 - 8
    title = "A host where nothing is to be done, converged again: seconds, medians"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" '
        f'role="img" aria-label="{title}">'
    )
    return "\n".join([head, f"<title>{title}</title>", f"<style>{STYLE}</style>", *parts, "</svg>", ""])
