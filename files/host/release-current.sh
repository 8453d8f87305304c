# Switch `current` of an app to one of its releases by rename, and remember the one before as `previous`.
# usage: release-current.sh APP_DIR RELEASE
set -eu
cd -- "$1"
if [ ! -f "releases/$2/.hostwright.json" ]; then
    echo "$1: there is no whole release $2; unpack it first" >&2
    exit 1
fi
point() {
    ln -sfn -- "$2" ".$1.new"
    mv -fT -- ".$1.new" "$1"
}
if [ -L current ] && [ "$(readlink current)" != "releases/$2" ]; then
    point previous "$(readlink current)"
fi
point current "releases/$2"
sync .
