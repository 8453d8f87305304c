# The machine: memory, swap, load, pressure, disks, clock, failed units, updates, certificates, versions.
import calendar
import ctypes
import glob
import os
import platform
import re
import time

from diagnose_common import guarded, printable, read, run

LISTS = "/var/lib/apt/lists"
UNSYNCHRONISED = 0x0040
# What tmpfs and its like hold is memory, and no disk.
DISKS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "overlay", "nfs", "nfs4", "vfat")


def machine(spec):
    text = read("/proc/meminfo")
    memory = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in text.splitlines() if line}
    return {
        "container": container(),
        "cpus": os.cpu_count() or 1,
        "uptime": float(read("/proc/uptime").split()[0]),
        "load": [float(one) for one in read("/proc/loadavg").split()[:3]],
        "memory": {"total": memory["MemTotal"], "available": memory["MemAvailable"]},
        "swap": {"total": memory["SwapTotal"], "used": memory["SwapTotal"] - memory["SwapFree"]},
        "pressure": pressure(),
        "clock": guarded("clock", clock) or {"synchronised": None, "error": None},
        "failed_units": guarded("failed units", failed_units) or [],
        "restart_required": os.path.exists("/run/reboot-required")
        or os.path.exists("/var/run/reboot-required"),
        "filesystems": filesystems(spec["places"]),
        "certificates": certificates(),
    }


def failed_units():
    said = run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "--full")
    return [printable(line.split()[0]) for line in said.splitlines() if line.strip()]


def container():
    """Return what kind of container this is, "" for a machine of its own."""
    return printable(read("/run/systemd/container", "").strip(), 40)


def pressure():
    """Return how much of the last 10, 60 and 300 seconds somebody waited; None where nobody counts."""
    found = {}
    for what in ("cpu", "memory", "io"):
        for line in read(f"/proc/pressure/{what}", "").splitlines():
            kind, *values = line.split()
            if (what, kind) != ("cpu", "full"):
                found[f"{what}_{kind}"] = [float(one.split("=")[1]) for one in values[:3]]
    return found or None


class Timex(ctypes.Structure):
    # The kernel's struct timex, as far as it is read; the rest is room.
    _fields_ = (
        ("modes", ctypes.c_int), ("offset", ctypes.c_long), ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long), ("esterror", ctypes.c_long), ("status", ctypes.c_int),
        ("room", ctypes.c_byte * 256),
    )  # fmt: skip


def clock():
    """Return whether the kernel's clock is kept by somebody; it is only asked (modes 0)."""
    about = Timex()
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(about)) < 0:
        return None
    return {"synchronised": not about.status & UNSYNCHRONISED, "error": about.maxerror / 1e6}


def filesystems(places):
    """Return each file system that a place, or the host, is on, once."""
    mounts = {}
    for line in read("/proc/self/mounts").splitlines():
        _, where, kind = line.split()[:3]
        if kind in DISKS or where == "/":
            mounts[where.replace("\\040", " ")] = kind
    wanted = {"/"} | {where for where in mounts if not where.startswith(("/proc", "/sys", "/run", "/snap"))}
    found, seen = [], set()
    for place in sorted(wanted | {one for one in places if os.path.exists(one)}, key=len):
        try:
            about, device = os.statvfs(place), os.stat(place).st_dev
        except OSError:
            continue
        if device in seen or not about.f_blocks:
            continue
        seen.add(device)
        size, free = about.f_blocks * about.f_frsize, about.f_bavail * about.f_frsize
        found.append({
            "place": printable(place), "size": size, "free": free,
            "used": size - about.f_bfree * about.f_frsize,
            "files_free": about.f_favail / about.f_files if about.f_files else None,
        })  # fmt: skip
    return found


def certificates():
    """Return when certificates end: Let's Encrypt's, and the database server's."""
    known = sorted(glob.glob("/etc/letsencrypt/live/*/cert.pem"))
    for file in sorted(glob.glob("/etc/postgresql/*/*/postgresql.conf")):
        text = read(file, "")
        if re.search(r"^\s*ssl\s*=?\s*'?(on|true|yes|1)", text, re.MULTILINE):
            known += re.findall(r"^\s*ssl_cert_file\s*=?\s*'(/[^']+)'", text, re.MULTILINE)
    found = []
    for path in dict.fromkeys(known):
        ends = guarded("certificates", certificate_end, path)
        found.append({"path": printable(path), "ends": ends})
    return found


def certificate_end(path):
    said = run("openssl", "x509", "-noout", "-enddate", "-in", path).strip()
    return calendar.timegm(time.strptime(said.partition("=")[2], "%b %d %H:%M:%S %Y %Z"))


def updates():
    """
    Return pending updates by the lists that are on this host; nothing is fetched.

    That is what apt has a newer version of. What an upgrade would do of it takes apt ten times as long.
    """
    lists = [f"{LISTS}/{name}" for name in os.listdir(LISTS) if "_Packages" in name]
    if not lists:
        return {"all": None, "security": None, "lists_age": None}
    said = run("dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}|${binary:Package}\\n")
    names = [line[4:] for line in said.splitlines() if line[1:2] == "i"]
    pending = pending_of(run("apt-cache", "policy", *names, seconds=8.0))
    return {
        "all": len(pending),
        "security": sum(pending.values()),
        "lists_age": round(max(0.0, time.time() - os.stat(LISTS).st_mtime)),
    }


def pending_of(policy):
    """Return package → whether its update is one of security, out of what `apt-cache policy` says."""
    found = {}
    for block in re.split(r"^(?=\S)", policy, flags=re.MULTILINE):
        match = re.match(r"(\S+):\n  Installed: (\S+)\n  Candidate: (\S+)\n", block)
        if match is None or match[2] == match[3]:
            continue
        # The candidate's own lines: where it comes from, until the next version.
        own = re.search(
            rf"^ (?:\*\*\*|   ) {re.escape(match[3])} \d+\n((?:        .*\n?)+)", block, re.MULTILINE
        )
        found[match[1]] = own is not None and "-security" in own[1]
    return found


def versions():
    os_release = dict(line.split("=", 1) for line in read("/etc/os-release", "").splitlines() if "=" in line)
    asked = ("postgresql", "supervisor", "pgbouncer", "pgbackrest", "nginx", "openssh-server", "systemd")
    said = run(
        "dpkg-query", "--show", "--showformat", "${db:Status-Abbrev}|${Package}|${Version}\\n",
        *asked, "postgresql-[0-9]*", codes=(0, 1),
    )  # fmt: skip
    rows = [line.split("|") for line in said.splitlines()]
    packages = {name: version for state, name, version in rows if state[1:2] == "i"}
    system = {
        "system": os_release.get("PRETTY_NAME", "?").strip('"'),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }
    servers = {
        name: one for name, one in packages.items() if re.fullmatch(r"postgresql-\d+", name) or name in asked
    }
    return {key: printable(value, 100) for key, value in {**system, **servers}.items()}
