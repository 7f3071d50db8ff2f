#!/bin/sh
# A Redis server, or a Sentinel, for as long as somebody holds the other end of the input.
# Usage: server.sh <folder with redis.conf> [--sentinel]. Prints "ready" when it can be used; "kill", "start", "freeze" and "thaw" on the
# input do so, and are answered by "done".
set -eu
folder=$1
mode=${2:-}
trap 'rm -rf "$folder"' EXIT
# A signal to all of the group ends those who use the server, and with them the input.
trap : INT TERM HUP

start() {
    : >"$folder/log"
    redis-server "$folder/redis.conf" $mode >"$folder/log" 2>&1 &
    server=$!
    until grep -Eq "Ready to accept connections|Sentinel ID is" "$folder/log"; do
        kill -0 "$server" || { cat "$folder/log" >&2; exit 1; }
        sleep 0.02
    done
}

kill_it() {
    kill -KILL "$server"
    wait "$server" 2>/dev/null || true
}

start
echo "ready"
while read -r word; do
    case $word in
        start) start ;;
        kill) kill_it ;;
        freeze) kill -STOP "$server" ;;
        thaw) kill -CONT "$server" ;;
    esac
    echo "done"
done
kill_it 2>/dev/null
