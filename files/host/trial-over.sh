# Say how a run that is not on trial any more has ended here.
# usage: trial-over.sh RUN        exit 0: undone; 2: not all of it; 5: confirmed, it stays; 6: never on trial
set -eu
run=$1
confirmed=/var/lib/hostwright/trial.confirmed/confirmed.json
ledger=/var/log/hostwright/ledger.jsonl

# Of a file that is not there nothing is known, and that is no error.
lines() {
    for file in "$confirmed" "$ledger"; do
        if [ -f "$file" ]; then grep -F -- "\"id\": \"$run\"" "$file" || [ $? -eq 1 ]; fi
    done
}

known=$(lines)
case $known in
*'"outcome": "confirmed"'* | *'"outcome": "rolled back"'*)
    echo "the host has confirmed this run: what it changed stays"
    exit 5
    ;;
*'"outcome": "undone in part"'*)
    echo "the host has gone back already, but not all of it could be restored: see history.py"
    exit 2
    ;;
'')
    echo "the host was not changed by this run"
    exit 6
    ;;
esac
echo "the host has gone back already"
