# Keep a receipt, whole or not at all, and the newest 20 beside it; its text on standard input.
# usage: receipt-keep.sh DIRECTORY FILE
set -eu
directory=$1 file=$2
mkdir -p -m 0755 -- "$directory"
cat >"$directory/.new"
sync -- "$directory/.new"
mv -fT -- "$directory/.new" "$directory/$file"
# Names begin with the time.
ls -1r -- "$directory" | tail -n +21 | while read -r old; do rm -f -- "$directory/$old"; done
