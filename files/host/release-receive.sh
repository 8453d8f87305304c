# Make a directory that the login may upload an archive to and that nobody else can enter.
# usage: release-receive.sh APP SHA256 SIZE
# Keeps what an interrupted upload of the same archive left; prints its size and digest, or "0 -".
set -eu
umask 077
base=/var/lib/hostwright-upload
# The login behind sudo or doas owns it: uploads are made by the login itself, not by root.
owner=${SUDO_USER:-${DOAS_USER:-root}}
install -d -m 0711 -o root -g root "$base"
install -d -m 0700 -o "$owner" -g root "$base/$1"
file=$base/$1/$2.tar.gz
for path in "$base/$1"/* "$base/$1"/.[!.]*; do
    [ "$path" = "$file" ] || rm -rf -- "$path"
done
# Of another owner, or longer than it can be: it is none that this run could go on from.
there=0
digest=-
if [ -f "$file" ] && [ ! -L "$file" ] && [ "$(stat -c %U "$file")" = "$owner" ] &&
    [ "$(stat -c %s "$file")" -le "$3" ]; then
    there=$(stat -c %s "$file")
    digest=$(sha256sum <"$file")
else
    rm -rf -- "$file"
fi
free=$(df --output=avail -B1 "$base" | tail -n 1)
if [ "$free" -lt $(($3 - there)) ]; then
    echo "the disk of $base has $((free / 1000000)) MB free, and the archive takes" \
        "$((($3 - there) / 1000000 + 1)) MB; make room (apt-get clean, journalctl --vacuum-size=100M)," \
        "then run again" >&2
    exit 1
fi
echo "$there ${digest%% *}"
