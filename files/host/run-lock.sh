# The lock of one run on this host. It lives in /run: a reboot ends every run.
# usage: run-lock.sh take RUN EXPIRES OWNER PURPOSE OVER  OVER: ssh, a login that must still be there, or any
#                                                        prints for how many ns nobody took or gave it back, and
#                                                        the login's session; exit 3 when somebody holds it
#        run-lock.sh beat RUN                            exit 4 when the run has lost it
#        run-lock.sh release RUN                         a line for the ledger on standard input, or nothing
#        run-lock.sh held                                prints who holds it, nothing where nobody does; only looks
set -eu
export LC_ALL=C
verb=$1 run=${2-}
if [ "$verb" != held ]; then shift 2; fi
dir=/run/hostwright
lock=$dir/lock
heard=$dir/heard
trial=/var/lib/hostwright/trial

field() { sed -n "s/^$1=//p" "$lock"; }

started() { sed 's/.*) //' "/proc/$1/stat" 2>&1 | cut -d' ' -f20; }

# The process of sshd that all commands of this login come through: the topmost below the listener.
session() {
    pid=$$ found=
    while [ "$pid" -gt 1 ]; do
        name=$(sed -n 's/^Name:[[:space:]]*//p' "/proc/$pid/status")
        parent=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
        case $name in
        sshd*) if [ "$parent" -gt 1 ] || [ -z "$found" ]; then found=$pid; fi ;;
        esac
        pid=$parent
    done
    if [ -n "$found" ]; then echo "$found $(started "$found")"; fi
}

# What asked for us has ended: nothing is above us but shells, and sudo or its like, that were started for us.
orphaned() {
    pid=$$ name=
    while [ "$pid" -gt 1 ]; do
        name=$(sed -n 's/^Name:[[:space:]]*//p' "/proc/$pid/status")
        pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
    done
    case $name in
    sh | dash | bash | zsh | ksh* | fish | sudo | su | doas) return 0 ;;
    esac
    return 1
}

# Seconds since the machine started: a wall clock that is set must not make a lock look old.
uptime() { cut -d. -f1 /proc/uptime; }

heard() {
    uptime >"$heard.new"
    mv -fT -- "$heard.new" "$heard"
}

age() { echo $(($(uptime) - $(cat "$heard"))); }

# Held by a run whose login has ended, or that gave no sign of life for as long as it said it would.
stale() {
    set -- $(field session)
    if [ "$#" -eq 2 ] && [ "$(started "$1")" != "$2" ]; then return 0; fi
    [ "$(age)" -gt "$(field expires)" ]
}

holder() {
    echo "$(field owner) has been running $(field purpose) here since $(field since) (last sign of life $(age) s ago)"
}

if [ "$verb" = held ]; then
    if [ -e "$lock" ] && ! stale; then holder; fi
    exit 0
fi

# Every lock that is taken, kept or given back is renamed or removed in there.
quiet() { echo $(($(date +%s%N) - $(stat -c %.9Y "$dir" | tr -d .))); }

mkdir -p "$dir"
exec 9>"$dir/.guard"
flock 9

case $verb in
take)
    expires=$1 owner=$2 purpose=$3 over=$4
    quiet=$(quiet)
    if [ -e "$lock" ] && [ "$(field run)" != "$run" ]; then
        if ! stale; then
            holder >&2
            exit 3
        fi
        echo "the run of $(field owner), $(field purpose) of $(field since), was cut off" >&2
        quiet=0
        rm -f -- "$lock"
    fi
    # What a run that was cut off left behind is undone before anything else begins.
    if [ -d "$trial" ]; then
        echo "a change that was never confirmed is undone first" >&2
        quiet=0
        # Not by this login's own hand: its end must not cut the undo off.
        if ! systemctl start hostwright-undo.service; then :; fi
        if [ -d "$trial" ]; then
            echo "it could not be undone; look at: journalctl -u hostwright-undo" >&2
            exit 5
        fi
    fi
    # A confirmation that was cut off before all of it was recorded.
    if [ -e "$trial.confirmed/trial-undo.py" ]; then
        quiet=0
        python3 -I "$trial.confirmed/trial-undo.py" undo - "the run was cut off" >&2
    fi
    here=$(session)
    # Of a run that is dead already nothing but the time would tell so. One that dies from here on is known by
    # its session, where sshd is the server.
    if [ "$over" = ssh ] && [ -z "$here" ] && orphaned; then
        echo "the login that asked for the lock has ended; run again" >&2
        exit 6
    fi
    {
        echo "run=$run"
        echo "owner=$owner"
        echo "purpose=$purpose"
        echo "since=$(date -u +%Y-%m-%dT%H:%M:%SZ)"
        echo "expires=$expires"
        echo "session=$here"
    } >"$lock.new"
    heard
    mv -fT -- "$lock.new" "$lock"
    echo "quiet $quiet"
    echo "session $here"
    ;;
beat)
    if [ ! -e "$lock" ] || [ "$(field run)" != "$run" ]; then
        echo "this run has lost its lock: the host has undone what it did" >&2
        exit 4
    fi
    heard
    if [ -d "$trial" ] && [ ! -e "$trial/undoing" ]; then
        systemctl restart hostwright-undo.timer
        # Where the run was confirmed just now, there is nothing left to undo.
        if [ ! -d "$trial" ]; then systemctl stop hostwright-undo.timer; fi
    fi
    ;;
release)
    line=$(cat)
    if [ -n "$line" ]; then
        mkdir -p /var/log/hostwright
        umask 027
        printf '%s\n' "$line" >>/var/log/hostwright/ledger.jsonl
    fi
    if [ -e "$lock" ] && [ "$(field run)" = "$run" ]; then rm -f -- "$lock"; fi
    ;;
esac
