#!/bin/sh
# talk.sh NANOSTATE PROGRAM...: runs the programs together, on a hub of their own. All have to end well.
nanostate=$1
shift
dir=$(mktemp -d)
hub=
programs=
cleanup() {
    for process in $programs $hub; do kill "$process" 2>/dev/null; done
    rm -rf "$dir"
}
trap cleanup EXIT

mkfifo "$dir/addresses"
"$nanostate" hub --listen tcp://127.0.0.1:0 >"$dir/addresses" &
hub=$!
read -r address <"$dir/addresses" || exit 1
NANOSTATE_URL=${address#listening on }
export NANOSTATE_URL

for program in "$@"; do
    timeout 60 "$program" &
    programs="$programs $!"
done
result=0
for process in $programs; do
    wait "$process" || result=1
done
exit "$result"
