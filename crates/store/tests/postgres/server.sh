#!/bin/sh
# A PostgreSQL server of its own in a folder of its own, for as long as somebody holds the other end of the input.
# Usage: server.sh <folder of the programs>. Prints the folder of its socket when it can be used; a word on the input does what it says,
# and is answered by "done": "stop" and "start"; "freeze" and "thaw", between which no process of the server does anything; "crash",
# by which all of them are killed.
set -eu
programs=$1
folder=$(mktemp -d /tmp/offhook-postgres-XXXXXX)
trap 'rm -rf "$folder"' EXIT
# A signal to all of the group ends those who use the server, and with them the input.
trap : INT TERM HUP

start() {
    # Nothing has to survive the loss of power here.
    "$programs/postgres" -D "$folder/data" -k "$folder" -c listen_addresses= -c fsync=off -c full_page_writes=off \
        -c max_connections=200 -c shared_buffers=32MB >>"$folder/log" 2>&1 &
    server=$!
    until grep -q "^ready" "$folder/data/postmaster.pid" 2>/dev/null; do
        kill -0 "$server" || { cat "$folder/log" >&2; exit 1; }
        sleep 0.05
    done
}

stop() {
    # It may have ended already, or a test that froze it.
    thaw 2>/dev/null
    kill -INT "$server" 2>/dev/null || true
    wait "$server" || true
}

# The server and the processes that it has begun.
processes() {
    echo "$server" $(ps -o pid= --ppid "$server")
}

freeze() {
    kill -STOP $(processes) || true
}

thaw() {
    kill -CONT $(processes) || true
}

crash() {
    # Some of them end by themselves meanwhile.
    kill -KILL $(processes) 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    # It says that the server is ready.
    rm -f "$folder/data/postmaster.pid"
}

"$programs/initdb" -D "$folder/data" -U offhook --auth=trust --encoding=UTF8 --locale=C --no-sync >"$folder/log" 2>&1 ||
    { cat "$folder/log" >&2; exit 1; }
start
echo "$folder"
while read -r word; do
    "$word"
    echo "done"
done
stop
