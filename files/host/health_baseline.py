"""
The usual range of what is measured of an app: learnt after each confirmed release, and kept on the host.

What is measured has a kind, and may be of a service: "cpu web", "gates". Rounds are put together to
intervals: of what counts up, the rise in an interval is one value; of all else, the mean. Times are those of
the boot, so that a clock which is set changes nothing. An interval that a restart of the host, a run, or
maintenance falls into is left out.
"""

import json
import math
import os
import statistics

from health_files import say
from health_usage import used_by
from whole_files import write_whole

BASELINES = "/var/lib/hostwright/health"
# A day of intervals of five minutes; where learning takes longer, they are longer.
INTERVALS = 288
# Of what seldom happens.
EVENTS = ("recovery",)
LEAST_EVENTS = 5
# How long what happened last counts as what is.
EVENT_SECONDS = 3600
# Each range has at least so much room on both sides: what never moved must not alarm when it does once.
FLOORS = {
    "cpu": 0.05,  # of one CPU
    "memory": 32 << 20,
    "log_bytes": 1 << 20,  # an hour
    "log_lines": 200,  # an hour
    "gates": 2.0,
    "connections": 5,
    "writes": 200,  # an hour
    "recovery": 0.1,
}  # fmt: skip
SHARE = 0.25
SPREADS = 4
# Less of it is never wrong.
UPPER = ("gates", "recovery", "memory")
# Of what counts up: in how many seconds a value's rise is told.
PER = {"cpu": 1, "log_bytes": 3600, "log_lines": 3600, "writes": 3600}


def span_of(every, hours):
    return max(every, hours * 3600 / INTERVALS)


def interval_after(before, boot, uptime, readings, span):
    """
    Return the interval that is going on after a round, and what the one that this round ended has shown.

    + before: the same of the round before; None at first, and after anything that should not count
    + boot, uptime: which boot this is, and its seconds
    + readings: "gauges" (key to number), "counters" (key to [what changes when it begins anew, number])
    + span: seconds that an interval has

    The second is None, or {"seconds": how long it was, "values": key to value}.
    """
    begun = {"boot": boot, "at": uptime, "counters": readings["counters"], "sums": {}}
    if not isinstance(before, dict) or before.get("boot") != boot:
        return begun, None
    seconds = uptime - before["at"]
    # More than that, and rounds are missing: nobody knows what was.
    if not 0 <= seconds <= 2 * span + 120:
        return begun, None
    sums = dict(before["sums"])
    for key, value in readings["gauges"].items():
        total, count = sums.get(key, (0.0, 0))
        sums[key] = [total + value, count + 1]
    if seconds < span:
        return {**before, "sums": sums}, None
    values = {key: total / count for key, (total, count) in sums.items()}
    for key, (mark, value) in readings["counters"].items():
        was = before["counters"].get(key)
        if was is not None and was[0] == mark and value >= was[1]:
            values[key] = (value - was[1]) / seconds * PER[key.split()[0]]
    return begun, {"seconds": seconds, "values": values}


def fresh(release, events):
    """Return what is known of a release at first: nothing; what happened before it is not its own."""
    return {
        "release": release,
        "learned": 0.0,
        "metrics": {},
        "seen": {key: at for key, (at, _) in events.items()},
    }


def learn(known, shown, events, hours, least):
    """
    Return what is known after an interval.

    + known: what was known before, of the same release
    + shown: what the interval showed
    + events: key to [when, value] of what happened last
    + hours, least: how long is learnt, and of how many values at least
    """
    learned = known["learned"] + shown["seconds"]
    happened = {key: value for key, (at, value) in events.items() if known["seen"].get(key) != at}
    metrics = dict(known["metrics"])
    for key, value in {**shown["values"], **happened}.items():
        about = metrics.get(key, {"samples": []})
        if "high" not in about:
            metrics[key] = {"samples": [*about["samples"], float(f"{value:.5g}")]}
    for key, about in metrics.items():
        enough = LEAST_EVENTS if key.split()[0] in EVENTS else least
        if "high" not in about and learned >= hours * 3600 and len(about["samples"]) >= enough:
            metrics[key] = range_of(key.split()[0], about["samples"])
    seen = {**known["seen"], **{key: at for key, (at, _) in events.items()}}
    return {**known, "learned": learned, "metrics": metrics, "seen": seen}


def range_of(kind, samples):
    """
    Return the usual range: what nearly all values were in, and four spreads around the median, with room.

    The spread is the median of the distances from the median, so that a few wild values do not widen it.
    """
    ordered = sorted(samples)
    middle = statistics.median(ordered)
    spread = 1.4826 * statistics.median(abs(one - middle) for one in ordered)
    room = max(FLOORS[kind], SHARE * middle)
    low = min(quantile(ordered, 0.01), middle - SPREADS * spread) - room
    high = max(quantile(ordered, 0.99), middle + SPREADS * spread) + room
    low = 0.0 if kind in UPPER else max(0.0, low)
    return {"median": middle, "low": low, "high": high, "of": len(ordered)}


def quantile(ordered, share):
    return ordered[round(share * (len(ordered) - 1))]


def readings_of(state, used, rows):
    """Return the readings of a round, for `interval_after`, and what happened last."""
    gauges, counters = {}, {}
    if state["gates"]:
        gauges["gates"] = state["seconds"]
    for service, about in used.items():
        gauges[f"memory {service}"] = about["memory"]
        counters[f"cpu {service}"] = [about["mark"], about["cpu"]]
    counters["log_bytes"] = ["", state["logs"]["written"]]
    counters["log_lines"] = ["", state["logs"]["lines"]]
    if rows is not None:
        gauges["connections"] = rows["connections"]
        counters["writes"] = ["", rows["writes"]]
    found = state["logs"]["recovered"]
    events = {} if found is None else {f"recovery {found['service']}": [found["at"], found["seconds"]]}
    return {"gauges": gauges, "counters": counters}, events


def known_of(app, release, events):
    """Return what is known of a release: nothing where the file has none of it; a broken one is told of."""
    path = f"{BASELINES}/{app}.baseline.json"
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        if not usable(found):
            raise ValueError("it lacks what it should have")
    except FileNotFoundError:
        return fresh(release, events)
    except ValueError as error:
        aside = f"{BASELINES}/{app}.baseline-broken.json"
        os.replace(path, aside)
        say(f"{path} is not usable ({error}) and is kept as {aside}; what is usual is learnt anew")
        return fresh(release, events)
    return found if found["release"] == release else fresh(release, events)


def usable(found):
    def numbers(*values):
        return all(isinstance(one, int | float) and math.isfinite(one) for one in values)

    if not isinstance(found, dict) or not {"release", "learned", "metrics", "seen"} <= set(found):
        return False
    if not isinstance(found["metrics"], dict) or not isinstance(found["seen"], dict):
        return False
    for key, about in found["metrics"].items():
        if key.split()[0] not in FLOORS or not isinstance(about, dict):
            return False
        of = [about.get("low"), about.get("high")] if "high" in about else about.get("samples")
        if not isinstance(of, list) or not numbers(*of):
            return False
    return numbers(found["learned"])


def after_round(app, state, before, rows, told):
    """
    Return what a round adds to what is known of an app: "used", "interval" and "baseline".

    + state, before: of this round, and of the one before
    + rows: "connections" and "writes" of its database; None where nobody tells
    + told: "every", "hours", "samples" as declared, "boot", "uptime" and "now" of this round
    """
    used = used_by(state["services"])
    readings, events = readings_of(state, used, rows)
    known = known_of(app, state["release"], events)
    interval, shown = None, None
    # What a run or maintenance does is not usual. A release that is not confirmed is part of a run.
    if state["held"] is None:
        span = span_of(told["every"], told["hours"])
        interval, shown = interval_after(before.get("interval"), told["boot"], told["uptime"], readings, span)
    if shown is not None:
        known = learn(known, shown, events, told["hours"], told["samples"])
        write_whole(f"{BASELINES}/{app}.baseline.json", json.dumps(known, sort_keys=True), synced=False)
    was = before.get("interval")
    goes_on = interval is not None and was is not None and interval["at"] == was["at"]
    values = shown["values"] if shown is not None else before["baseline"]["values"] if goes_on else {}
    values = {key: value for key, value in values.items() if key.split()[0] not in EVENTS}
    recent = {key: value for key, (at, value) in events.items() if 0 <= told["now"] - at < EVENT_SECONDS}
    last = before.get("used")
    return {
        "used": {"boot": told["boot"], "at": told["uptime"], "of": used, "cpu": shares(last, used, told)},
        "interval": interval,
        "baseline": {
            "values": {**values, **recent},
            "ranges": {key: about for key, about in known["metrics"].items() if "high" in about},
            "learning": [key for key, about in known["metrics"].items() if "high" not in about],
            "learned": min(1.0, known["learned"] / (told["hours"] * 3600)),
        },
    }


def shares(last, used, told):
    """Return how much of one CPU each service used since the round before."""
    if last is None or last["boot"] != told["boot"] or told["uptime"] <= last["at"]:
        return {}
    seconds = told["uptime"] - last["at"]
    same = [one for one in used if used[one]["mark"] == last["of"].get(one, {}).get("mark")]
    return {one: max(0.0, used[one]["cpu"] - last["of"][one]["cpu"]) / seconds for one in same}
