# Remove releases, parts and virtual environments of an app; each disappears in one step, then file by file.
# usage: release-prune.sh APP_DIR PATH...    paths relative to APP_DIR
set -eu
cd -- "$1"
shift
for path; do
    case $path in
        releases/* | venvs/* | parts/*) ;;
        *) echo "release-prune: $path is no release, part or venv" >&2; exit 1 ;;
    esac
    name=${path#*/}
    gone=${path%%/*}/.${name#.}.old
    if [ "$path" != "$gone" ]; then
        rm -rf -- "$gone"
        mv -T -- "$path" "$gone"
    fi
    rm -rf -- "$gone"
done
