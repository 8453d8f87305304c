# What the programs of an app's supervisor are, and the waiting until they have stopped, or run and stay up.
# Part of supervisor-control.py.
import time

from supervisor_reasons import explain

GONE = {"STOPPED", "EXITED", "FATAL", "UNKNOWN"}


class FailedError(Exception):
    """What went wrong and what to do, for whoever reads it at night."""


def full_name(info):
    return info["name"] if info["group"] == info["name"] else f"{info['group']}:{info['name']}"


def processes(rpc):
    return {full_name(info): info for info in rpc.getAllProcessInfo()}


def autostarted(infos):
    return {full_name(info) for info in infos if info["autostart"]}


def wanted(rpc):
    """Return the programs that are declared to run; the parsed configuration must be fresh."""
    return autostarted(rpc.getAllConfigInfo())


def wait_gone(rpc, groups, deadline):
    """Wait until the groups have stopped; return the programs, by name, that did not in time."""
    while True:
        left = {
            full_name(info): info["group"]
            for info in rpc.getAllProcessInfo()
            if info["group"] in groups and info["statename"] not in GONE
        }
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def refuse_slow(app, slow, others):
    """Say which programs did not stop; what stopped for them must be up again before."""
    if not slow:
        return
    started = f"; started again: {', '.join(others)}" if others else ""
    raise FailedError(
        f"{', '.join(sorted(slow))} did not stop in time and is still stopping{started}; supervisor kills it "
        f"once its stop_seconds are over, then run again; {app}-status shows it, and its log why it hangs"
    )


def wait_running(rpc, deadline, names=None):
    """Wait until the declared programs run and stay up for their startsecs; one that gave up ends it."""
    expected = wanted(rpc) if names is None else set(names)
    while True:
        found = processes(rpc)
        missing = sorted(expected - found.keys())
        late = [(name, found[name]) for name in sorted(expected & found.keys())]
        late = [(name, info) for name, info in late if info["statename"] != "RUNNING"]
        if not late and not missing:
            return
        dead = [(name, info) for name, info in late if info["statename"] == "FATAL"]
        if dead or time.monotonic() > deadline:
            lost = [f"{name} is not known to the running supervisor" for name in missing]
            raise FailedError("\n".join([*lost, explain(dead or late)]))
        time.sleep(0.1)
