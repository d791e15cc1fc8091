#!/bin/sh
# exchange.sh NANOSTATE FOLLOW VOLUME: the programs of docs/qt.md do with a hub what the page says of them.
set -u
nanostate=$1 follow=$2 volume=$3
dir=$(mktemp -d)
processes=

finish() {
    trap - EXIT INT TERM
    # shellcheck disable=SC2086 # a list
    [ -z "$processes" ] || kill $processes 2>/dev/null
    wait
    rm -rf "$dir"
}
fail() {
    echo "exchange: $*" >&2
    tail -n 20 "$dir"/*.log >&2
    exit 1
}
# Waits up to 30 seconds until a file has a line that matches.
wait_for() {
    tries=300
    until grep -q "$2" "$1" 2>/dev/null; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail "no \"$2\" in $(basename "$1")"
        sleep 0.1
    done
}
trap finish EXIT
trap 'exit 130' INT TERM

"$nanostate" hub --listen tcp://127.0.0.1:0 >"$dir/hub.log" 2>&1 &
processes="$processes $!"
wait_for "$dir/hub.log" '^listening on '
NANOSTATE_URL=$(sed -n 's/^listening on //p' "$dir/hub.log")
export NANOSTATE_URL

"$nanostate" watch >"$dir/watch.log" 2>&1 &
processes="$processes $!"
QT_LOGGING_TO_CONSOLE=1 "$follow" >"$dir/follow.log" 2>&1 &
processes="$processes $!"
wait_for "$dir/watch.log" '^follow follow/started '
"$nanostate" send greeting hello --timeout 30 || fail "nanostate send failed"
wait_for "$dir/follow.log" '"greeting".*hello'

# It starts without publishing, and without a complaint; its value is what is set.
"$volume" one >"$dir/volume.log" 2>&1 &
one=$!
processes="$processes $one"
wait_for "$dir/hub.log" ' one .*joined'
"$nanostate" send volume 20 --type int --timeout 30 || fail "nanostate send failed"
wait_for "$dir/follow.log" '"volume".*20'
kill -0 "$one" 2>/dev/null || fail "volume did not run to the end"
grep -q '^one volume' "$dir/watch.log" && fail "volume published by itself"
grep 'Main.qml\|is not installed' "$dir/volume.log" && fail "volume complained"
exit 0
