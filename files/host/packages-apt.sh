# Run apt-get without a question and without a race for its locks.
# usage: packages-apt.sh update | install RECOMMENDS PACKAGE... | upgrade | remove PACKAGE...
# RECOMMENDS is true or false: whether what these merely recommend is installed too.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a
verb=$1
shift

apt() {
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Options::=--force-confdef \
        -o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# The lock of the lists has no timeout of its own in apt; without error-on=any, lists that could not be
# fetched count as a success.
update() {
    until=$(($(date +%s) + 600))
    log=$(mktemp)
    trap 'rm -f -- "$log"' EXIT
    while ! apt update --error-on=any >"$log" 2>&1; do
        cat -- "$log" >&2
        if ! grep -q 'Could not get lock' "$log" || [ "$(date +%s)" -ge "$until" ]; then
            echo "the package lists could not be fetched; see the lines of apt above" >&2
            exit 1
        fi
        sleep 2
    done
    cat -- "$log"
    # Where nothing was new apt leaves the date; this is when the lists were last known to be right.
    touch /var/lib/apt/lists
}

case $verb in
update) update ;;
install)
    recommends=$1
    shift
    if ! apt -o "APT::Install-Recommends=$recommends" install -- "$@"; then
        echo "apt could not install $*; its lines above say why. A name that it cannot locate is misspelled," \
            "or its archive is not in /etc/apt: then nothing was installed" >&2
        exit 1
    fi
    ;;
upgrade) apt --with-new-pkgs upgrade ;;
remove) apt remove -- "$@" ;;
*)
    echo "packages-apt.sh: unknown verb $verb" >&2
    exit 2
    ;;
esac
