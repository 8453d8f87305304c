# Replace one file in one step, so that a reader, or a power cut, sees the old content or the new one.
# usage: atomic-write.sh PATH USER GROUP MODE SHA256 [VALIDATE]    content in base64 on standard input
# VALIDATE is a shell command that finds the new content's path in $FILE; it must exit 0.
set -eu
umask 077
path=$1 user=$2 group=$3 mode=$4 sha256=$5 validate=${6-}
dir=$(dirname -- "$path")
name=$(basename -- "$path")

# What an earlier, interrupted write left behind.
find "$dir" -maxdepth 1 -type f -name ".$name.??????.dpkg-new" -delete

# Programs that read whole directories (logrotate, cron, sudo, apt) all skip names in .dpkg-new.
FILE=$(mktemp --suffix=.dpkg-new "$dir/.$name.XXXXXX")
export FILE
trap 'rm -f -- "$FILE"' EXIT
trap 'exit 1' HUP INT TERM

base64 -d >"$FILE"
# A connection that breaks half way ends standard input like a whole one would.
got=$(sha256sum <"$FILE")
if [ "${got%% *}" != "$sha256" ]; then
    echo "$path: the content arrived incomplete; nothing was changed, run again" >&2
    exit 1
fi
chown -- "$user:$group" "$FILE"
chmod -- "$mode" "$FILE"
if [ -n "$validate" ] && ! said=$(sh -c "$validate" 2>&1); then
    echo "$path: the new content was refused, nothing was changed: ${said:-its check gave no reason}" >&2
    exit 1
fi
sync -- "$FILE"
mv -fT -- "$FILE" "$path"
sync -- "$dir"
