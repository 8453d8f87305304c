# Print all receipts that a host keeps, each ended by a null byte.
# usage: receipt-read.sh DIRECTORY
set -eu
for file in "$1"/*.json; do
    if [ -e "$file" ]; then
        cat -- "$file"
        printf '\0'
    fi
done
