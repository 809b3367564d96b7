#!/bin/sh
# until_gone.sh PID,PID...: the command of pyperf-run -p without one: lasts until none of them is there any more.
set -u

IFS=,
# shellcheck disable=SC2086  # numbers
set -- $1
unset IFS
while [ $# -gt 0 ]; do
    sleep 0.5
    number=$#
    while [ "$number" -gt 0 ]; do
        number=$((number - 1))
        [ ! -d "/proc/$1" ] || set -- "$@" "$1"
        shift
    done
done
