"""The rules: what is looked for, why it does not travel, and what to do instead."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# Kinds of source. A web page's own scripts are clients; the rest may be either.
CLIENTS = frozenset({"script", "page", "python"})
COMMANDS = frozenset({"shell", "command", "settings", "supervisor"})
EVERYWHERE = CLIENTS | COMMANDS | {"style", "data", "sql"}


@dataclass(frozen=True)
class Rule:
    """
    One rule.

    + id: "HW" and three digits, for good
    + what: was found
    + reason: why it does not travel
    + remedy: what to do instead
    + pattern: what it looks for in a piece; None where it has code of its own
    + kinds: of source that it looks at, default all
    + spared: of what was found, this is fine; default nothing
    """

    id: str
    what: str
    reason: str
    remedy: str
    pattern: re.Pattern[str] | None = None
    kinds: frozenset[str] = field(default=EVERYWHERE)
    spared: re.Pattern[str] | None = None


def _re(expression: str) -> re.Pattern[str]:
    return re.compile(expression, re.MULTILINE)


# Begins a path: nothing before it that would make it a part of another path, of a word or of a URL's path.
START = r"(?<![\w./~}\-])"
OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"

# ruff: noqa: E501  # a table: one line a cell
RULES = (
    Rule("HW001", "an exception without a reason", "whoever reads it later cannot tell whether it still holds",
         "write: hostwright: allow RULE because REASON"),
    Rule("HW002", "an exception that nothing needs", "it would hide what comes there later", "remove it"),
    Rule("HW003", "a file that Python cannot read", "it cannot run, and nobody has looked for paths in it",
         "mend it, or leave it out of the release by .gitignore"),
    Rule("HW101", "a home directory of macOS", "there is no /Users on the host",
         "take it from a variable, or find it from __file__", _re(START + r"/Users/[A-Za-z0-9._-]+/\S")),
    Rule("HW102", "somebody's home directory", "the service runs as a user of its own, who has none there",
         "take it from a variable, or find it from __file__",
         _re(START + r"/home/[a-z_][a-z0-9_.-]*(?:/[\w.]|$(?<=[\"' ]))|(?<==)/home/[a-z_][a-z0-9_.-]*")),
    Rule("HW103", "a path or command of Homebrew", "the host has packages of its distribution",
         "use the program's name, and declare its Debian package in `packages`",
         _re(r"/opt/homebrew\b|/usr/local/(?:Cellar|Homebrew|opt)/|\bbrew (?:install|services|--prefix|link)\b")),
    Rule("HW104", "a private IP address", "it is a machine of one network, and another one elsewhere",
         "take it from a variable, or name a host",
         _re(rf"(?<![\w.])(?:10\.{OCTET}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.{OCTET}\.{OCTET}(?![\w]|\.\d|/\d)"),
         spared=_re(r"\.0$|\.255$")),
    Rule("HW105", "a path of Windows", "there are no drives on the host",
         "take it from a variable, or find it from __file__", _re(r"(?<![\w])[A-Z]:\\{1,2}[A-Za-z]{2}[\w ]*")),
    Rule("HW106", "a relative path in supervisor's configuration", "it depends on where supervisor was started",
         "write the absolute path", kinds=frozenset({"supervisor"})),
    Rule("HW107", "a client that is told localhost and a port", "in a browser that is the reader's own machine, "
         "and another host has other ports", "use a relative URL in pages, a variable in programs",
         _re(r"\b(?:https?|wss?)://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\]):(?:\d+|\$?\{)"), CLIENTS),
    Rule("HW108", "processes that are ended by a pattern", "it ends whatever else matches, of other apps too",
         "have the process manager stop the service: supervisorctl -c FILE stop NAME",
         _re(r"\bpkill\b[^|;&\n]*\s-\w*f\b|\bkillall\s+-?\w|\bpgrep\s+-\w*f\b[^;\n]*\|\s*xargs\s+kill"),
         frozenset({"shell", "command", "python", "supervisor", "settings"})),
    Rule("HW109", "supervisor's socket or files in /tmp", "the system's temp cleaner deletes them",
         "use the app's directory in /run, which RuntimeDirectory= makes",
         _re(r"^\s*(?:file|pidfile|logfile|childlogdir|stdout_logfile|stderr_logfile|serverurl)\s*=\s*"
             r"(?:unix://)?/(?:var/)?tmp/\S+"), frozenset({"supervisor"})),
    Rule("HW110", "a password in a URL", "everybody who has the code has it, and it cannot differ by environment",
         "declare a secret, and read it from a variable",
         _re(r"\b[a-z][a-z0-9+]{2,}://[\w.%-]+:[^\s@/:\"'{}$<>*%(\[|]{3,}@[\w\[{$]"),
         spared=_re(r"(?i)://[^:]*:(?:pass|password|passwd|pwd|secret|guest|x+|changeme|pass[a-z_]*)@")),
    Rule("HW111", "PostgreSQL that listens everywhere", "the database is open to the network",
         "declare postgresql.listen_addresses; localhost is enough for apps of the host",
         _re(r"listen_addresses\s*(?:=|TO)\s*'?\*'?")),
    Rule("HW112", "sudo in an application", "the service's user may not become root, and nobody answers a question",
         "have the playbook do it, or give the service what it needs",
         _re(r"(?:^|[;&|]|\bdo|\bthen)\s*sudo\s+\S+"), frozenset({"shell", "command"})),
    Rule("HW113", "a command of macOS alone", "there is none on the host", "use what Debian has, or leave it out",
         _re(r"(?:^|[;&|(`]|\$\()\s*(?:launchctl|osascript|pbcopy|pbpaste|sw_vers|caffeinate|diskutil)\b"),
         frozenset({"shell", "command"})),
    Rule("HW114", "os.getlogin()", "a service has no terminal that anybody has logged in to: it raises OSError",
         "use getpass.getuser()", kinds=frozenset({"python"})),
    Rule("HW115", "a first line that names one machine's interpreter", "that file is not on the host",
         "write #!/usr/bin/env python3, and start it by the virtual environment's python",
         _re(r"\A#!\s*(?:/Users/|/home/|/opt/homebrew/|\S*/\.?venv/)\S*"), frozenset({"shebang"})),
    Rule("HW116", "supervisorctl without its configuration", "it finds another one, or none, by where it is started",
         "write supervisorctl -c /etc/APP/supervisord.conf",
         _re(r"(?:^|[;&|(`]|\$\(|\bsudo|\bthen|\bdo)\s*supervisorctl(?!\s+(?:-\w+\s+)*(?:-c|--configuration|-s|-h))\s+\w+"),
         frozenset({"shell", "command", "settings"})),
    Rule("HW117", "supervisorctl reload", "it restarts every service, at night when logrotate calls it",
         "update NAME for configuration; SIGUSR2 to supervisord makes it open its logs again",
         _re(r"\bsupervisorctl\b[^|;&\n]*\sreload\b"), frozenset({"shell", "command", "settings"})),
    Rule("HW118", "lines that are appended to a file of the system", "each run appends them again",
         "have the playbook declare it: swap, sysctls and units have operations of their own",
         _re(r">>\s*/etc/(?:fstab|sysctl\.conf|hosts|environment|crontab|sudoers)\b|\btee\s+-a\s+/etc/\w+"),
         frozenset({"shell", "command"})),
)  # fmt: skip
BY_ID = {rule.id: rule for rule in RULES}
