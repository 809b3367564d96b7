# shellcheck shell=sh
# shellcheck disable=SC2317  # pass_on and what it calls: by trap
# shellcheck disable=SC2034,SC2154  # variables of pyperf-run
# program.sh: the program that is profiled: where it is, the signals and descriptors that it shall have, its end. Read
# by record.sh and inside.sh, which set runner, the process number of what starts it.

# Before perf starts, because perf says nothing and leaves an empty profile. Says which file it is,
# and what interprets it.
check_program() {
    shift "$1"
    shift
    [ $# -gt 0 ] || fail 2 'no program given; see pyperf-run --help'
    case $1 in
    */*)
        [ -e "$1" ] || fail 127 "$1: no such file"
        [ ! -d "$1" ] || fail 126 "$1: is a directory, not a program"
        [ -x "$1" ] || fail 126 "$1: not executable (chmod +x, or name its interpreter)"
        find_interpreter "$1"
        return ;;
    esac
    denied=
    if ! search_path "$1"; then
        [ -z "$denied" ] || fail 126 "$denied: not executable"
        fail 127 "$1: not found in PATH"
    fi
    find_interpreter "$found"
}

# $1: a command's name. Sets found; denied when there is one that may not be executed.
search_path() {
    search=${PATH-}:
    while [ -n "$search" ]; do
        found=${search%%:*}
        found=${found:-.}/$1
        search=${search#*:}
        [ -f "$found" ] || continue
        [ ! -x "$found" ] || return 0
        denied=$found
    done
    return 1
}

# $1: a program. Sets interpreter: its own if it is a script; nothing for one of the shell, which may start anything.
find_interpreter() {
    interpreter=$1
    first=$(head -c 256 -- "$1" 2>/dev/null | head -n 1 | tr -d '\000')
    case $first in
    '#!'*) ;;
    *) return ;;
    esac
    interpreter=
    # shellcheck disable=SC2086  # as the kernel splits it, or env
    for word in ${first#??}; do
        case $word in
        */env | -* | *=*) continue ;;
        */*) interpreter=$word ;;
        *) ! search_path "$word" || interpreter=$found ;;
        esac
        break
    done
}

# A shell gives a background command /dev/null for stdin, and perf's stderr is kept back until the
# end: the real ones travel to the program on two unused numbers. The program may have
# been given open descriptors (socket activation), so look first.
spare_descriptors() {
    # A number that is free here would be taken by perf for one of its own files.
    [ -e /proc/$$/fd/0 ] || exec </dev/null
    [ -e /proc/$$/fd/1 ] || exec >/dev/null
    [ -e /proc/$$/fd/2 ] || exec 2>/dev/null
    unused=
    for number in 9 8 7 6 5 4 3; do
        [ -e /proc/$$/fd/$number ] || unused="$unused $number"
    done
    # shellcheck disable=SC2086  # a list of numbers
    set -- $unused
    [ $# -ge 2 ] || fail 1 'of the descriptors 3 to 9, two must be free'
    in=$1
    err=$2
    lock=${3-}
    eval "exec $in<&0 $err>&2"
}

# The program must start with the signals ignored that were ignored for us (nohup), and no others:
# the shell sets INT and QUIT to ignored for background commands, perf sets USR2. env undoes that
# from coreutils 8.31 on; before, only QUIT and USR2 stay ignored, because perf handles INT.
sort_signals() {
    wanted=
    ignored=
    default=
    mask=0
    while read -r key value; do
        [ "$key" != SigIgn: ] || mask=$((0x${value#????????}))
    done <"/proc/$$/status"
    # bash ignores QUIT for itself.
    [ -z "${BASH_VERSION-}" ] || mask=$((mask & ~4))
    for pair in 1:HUP 2:INT 3:QUIT 10:USR1 12:USR2 15:TERM; do
        signal=${pair#*:}
        if [ $((mask >> (${pair%:*} - 1) & 1)) = 1 ]; then
            ignored="$ignored $signal"
        else
            wanted="$wanted $signal"
            default="$default,$signal"
        fi
    done
    reset=
    if env --default-signal=INT true 2>/dev/null; then
        reset="env --default-signal=${default#,}"
    fi
}

make_directory() {
    place=${TMPDIR:-/tmp}
    case $place in
    # Not for a path in LD_PRELOAD: see preload.sh.
    *[!A-Za-z0-9/._+@%,=~-]*) place=/tmp ;;
    esac
    [ -d "$place" ] && [ -w "$place" ] || place=/tmp
    dir=$(mktemp -d "$place/pyperf-run.XXXXXX") || fail 1 "cannot make a directory in $place"
    dir=$(readlink -f -- "$dir")
    [ "$(id -u)" != 0 ] || chmod 711 "$dir"
}

# Opening a fifo waits for the other side: the canary sleeps until we kill it, or, should we have
# been killed ourselves, until the launcher opens the fifo.
start_canary() {
    [ -p "$dir/canary" ] || mkfifo "$dir/canary"
    (
        eval "exec $in<&- $err>&-"
        # shellcheck disable=SC2016,SC2086  # $1 is that sh's; $reset is a command and arguments
        exec $reset sh -c 'read -r _ <"$1"' pyperf-run "$dir/canary"
    ) >/dev/null 2>&1 &
    canary=$!
}

catch_signals() {
    caught=
    runner=
    for signal in $wanted; do
        # shellcheck disable=SC2064  # the name is meant to be fixed now
        trap "pass_on $signal" "$signal"
    done
}

# A signal to the whole group (Ctrl-C, timeout, kill %1) has reached the program already, and a
# second Ctrl-C is often "stop at once": passed on is what was sent to us alone. The canary tells,
# by having died of it.
pass_on() {
    caught=$1
    interrupted=yes
    [ -n "$runner" ] || return
    # One kill may reach us twice, as a process and as a member of the group.
    trap '' "$1"
    sleep 0.1
    # shellcheck disable=SC2064
    trap "pass_on $1" "$1"
    if canary_died_of "$1"; then
        start_canary
        return
    fi
    # Without $reset the canary does not die of these two, so the keyboard cannot be told apart.
    case $1:$reset in
    INT: | QUIT:) ! (: </dev/tty) || return ;;
    esac
    deliver "$1"
} 2>/dev/null

deliver() {
    while [ ! -s "$dir/program" ] && kill -0 "$runner"; do
        sleep 0.1
    done
    read -r program <"$dir/program" && kill -s "$1" "$program"
} 2>/dev/null

canary_died_of() {
    state=gone
    read -r _ _ state _ <"/proc/$canary/stat"
    case $state in
    gone | Z | X) ;;
    *) return 1 ;;
    esac
    wait "$canary"
    means_death_of $? "$1"
}

# kill -l takes a signal's number too: an exit status of 15 is not SIGTERM.
means_death_of() {
    [ "$1" -gt 128 ] && [ "$(kill -l "$1" 2>/dev/null)" = "$2" ]
}

# wait returns early for each signal that arrives. The launcher outlives a perf that was killed,
# and with it the program.
wait_for_end() {
    interrupted=yes
    while [ -n "$interrupted" ]; do
        interrupted=
        wait "$runner"
        status=$?
        # 127: the wait before had not been interrupted after all.
        [ $status = 127 ] || runner_status=$status
    done
    while [ ! -s "$dir/status" ] && read -r launcher <"$dir/launcher" && kill -0 "$launcher"; do
        sleep 0.2
    done
} 2>/dev/null

# A caller that sent us a signal, or a shell after Ctrl-C, wants to see that the program died of it.
leave() {
    if [ -n "$caught" ] && means_death_of "$1" "$caught"; then
        die_of "$caught"
    fi
    exit "$1"
}

die_of() {
    trap - "$1"
    kill -s "$1" $$
}
