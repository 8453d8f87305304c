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

# By the shell alone, here and below: each program more is 1 to 2 ms of a core more, in every run.
field() {
    while IFS= read -r line; do
        case $line in "$1="*) printf '%s\n' "${line#*=}" ;; esac
    done <"$lock"
}

# When a process started, in clock ticks since the machine did; a word for one that is no more.
started() {
    { read -r line <"/proc/$1/stat"; } 2>/dev/null || line=") gone" # the shell's words about a file that went
    set -- ${line##*) }
    echo "${20-$1}"
}

# The name of a process, and its parent; 0 for one that is no more.
about() {
    name= parent=0
    while read -r word value; do
        case $word in Name:) name=$value ;; PPid:) parent=$value && break ;; esac
    done <"/proc/$1/status"
}

# The process of sshd that all commands of this login come through: the topmost below the listener.
session() {
    pid=$$ found=
    while [ "$pid" -gt 1 ]; do
        about "$pid"
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
        about "$pid"
        pid=$parent
    done
    case $name in
    sh | dash | bash | zsh | ksh* | fish | sudo | su | doas) return 0 ;;
    esac
    return 1
}

# Seconds since the machine started: a wall clock that is set must not make a lock look old.
uptime() {
    read -r line </proc/uptime
    echo "${line%%.*}"
}

heard() {
    uptime >"$heard.new"
    mv -fT -- "$heard.new" "$heard"
}

age() {
    read -r line <"$heard"
    echo $(($(uptime) - line))
}

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
quiet() {
    at=$(stat -c %.9Y "$dir")
    echo $(($(date +%s%N) - ${at%.*}${at#*.}))
}

[ -d "$dir" ] || mkdir -p "$dir"
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
    IFS= read -r line || : # it may have no line feed
    if [ -n "$line" ]; then
        [ -d /var/log/hostwright ] || mkdir -p /var/log/hostwright
        umask 027
        printf '%s\n' "$line" >>/var/log/hostwright/ledger.jsonl
    fi
    if [ -e "$lock" ] && [ "$(field run)" = "$run" ]; then rm -f -- "$lock"; fi
    ;;
esac
