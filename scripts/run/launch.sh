#!/bin/sh
# launch.sh: the command of perf record, or of pyperf-run itself. Starts the program as without pyperf-run, and keeps
# its exit status.
#
#     launch.sh DIR PRELOAD IMAGES VARIABLES IGNORED STDERR UNUSED program [arguments]
#
# DIR is pyperf-run's private directory, VARIABLES what switches libpyperf on (not without IMAGES), IGNORED the signals
# that the program shall ignore, STDERR and UNUSED numbers of descriptors (program.sh, spare_descriptors).
set -u

dir=$1 preload=$2 images=$3 variables=$4 ignored=$5 err=$6 unused=$7
shift 7
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
    [ -z "$preload" ] || export LD_PRELOAD="$preload"
    # shellcheck disable=SC2086,SC2163  # names and values
    [ -z "$images" ] || export PYPERF_DIR="$images" $variables
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
