#!/bin/sh
# launch.sh: the command of perf record. Starts the program as without pyperf-run, and keeps its
# exit status.
#
#     launch.sh DIR PRELOAD IMAGES IGNORED STDERR UNUSED program [arguments]
#
# DIR is pyperf-run's private directory, IGNORED the signals that the program shall ignore, STDERR
# and UNUSED numbers of descriptors (record.sh, spare_descriptors).
set -u

dir=$1 preload=$2 images=$3 ignored=$4 err=$5 unused=$6
shift 6
echo $$ >"$dir/launcher"
# Caught, not ignored: ignored signals would stay ignored in the program.
trap : HUP INT QUIT USR1 USR2 TERM
# Hides the shell's report of a child that a signal has killed.
exec 2>/dev/null
began='' ended=''
read -r began _ </proc/uptime
(
    # shellcheck disable=SC2086  # a list of names
    [ -z "$ignored" ] || trap '' $ignored
    export LD_PRELOAD="$preload" PYPERF_DIR="$images" PYPERF_MAP=needed PYTHONPERFSUPPORT=1
    # $$ is the launcher's number even here.
    read -r program _ </proc/self/stat
    echo "$program" >"$dir/program"
    eval "exec 2>&$err"
    # Ours, and an eventfd that perf leaves open.
    for number in $unused; do
        eval "exec $number>&-"
    done
    exec "$@"
)
status=$?
read -r ended _ </proc/uptime
{ times && echo "$began $ended"; } >"$dir/times"
echo $status >"$dir/status"
: <>"$dir/canary"
exit 0
