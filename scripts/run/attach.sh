# shellcheck shell=sh
# shellcheck disable=SC2154  # variables of pyperf-run
# attach.sh: checks running processes before perf record -p PID, and reports those that continue
# when the program has ended. Read by record.sh.

# $@: options of perf record, as many as perf_words says; then the program.
check_attached() {
    lenders=
    left=$perf_words
    while [ "$left" -gt 0 ]; do
        case $1 in
        -p | --pid)
            [ "$left" -lt 2 ] || check_processes "$2" ;;
        -p*) check_processes "${1#-p}" ;;
        --pid=*) check_processes "${1#*=}" ;;
        esac
        shift
        left=$((left - 1))
    done
}

# $1: pids as for perf: 12,34
check_processes() {
    numbers=$1, others=''
    while [ -n "$numbers" ]; do
        pid=${numbers%%,*}
        numbers=${numbers#*,}
        case $pid in
        '' | *[!0-9]* | 0*) fail 1 "-p $1: there is no such process" ;;
        esac
        [ -d "/proc/$pid" ] || fail 1 "-p $pid: there is no such process"
        check_owner
        check_library
        find_children ",$1,"
    done
    [ -z "$others" ] || say "-p $1 leaves out its children: -p $1$others records them too"
}

# Adds the children in which libpyperf is to others: perf follows those alone that start later. $1: the pids
# that are recorded, between commas.
find_children() {
    for child in $(cat "/proc/$pid/task"/*/children); do
        case $1 in *",$child,"*) continue ;; esac
        ! grep -q '/libpyperf\.so' "/proc/$child/maps" || others=$others,$child
    done
} 2>/dev/null

# For another user's process perf advises to lower perf_event_paranoid, which does not help.
check_owner() {
    owner=$(stat -c %u "/proc/$pid")
    [ "$(id -u)" != 0 ] && [ "$owner" != "$(id -u)" ] || return 0
    while read -r key value; do
        # CAP_SYS_PTRACE, CAP_PERFMON (linux/capability.h)
        [ "$key" != CapEff: ] || [ $((0x$value >> 19 & 1 | 0x$value >> 38 & 1)) = 0 ] || return 0
    done <"/proc/$$/status"
    fail 1 "process $pid belongs to $(stat -c %U "/proc/$pid"), and perf attaches to your own processes" \
        "only: run it as that user or as root (sudo pyperf-run ...)"
}

# Records nevertheless: C and kernel functions are shown.
check_library() {
    [ -r "/proc/$pid/maps" ] || return 0
    if ! grep -q '/libpyperf\.so' "/proc/$pid/maps"; then
        say "libpyperf is not in process $pid, so there will be no Python functions: start it with" \
            "LD_PRELOAD=$library (and see docs/services.md)"
    elif ! grep -q '/pyperf-[0-9]*-[^/]*\.so' "/proc/$pid/maps"; then
        toggle=$(tr '\0' '\n' <"/proc/$pid/environ" | sed -n 's/^PYPERF_TOGGLE_SIGNAL=//p')
        if [ -n "$toggle" ]; then
            todo="kill -s $toggle $pid switches it on"
        else
            todo='start it with PYTHONPERFSUPPORT=1, or with PYPERF_TOGGLE_SIGNAL=RTMIN+3 to switch it'
        fi
        say "libpyperf is switched off in process $pid: $todo"
    else
        lenders="$lenders
$(sed -n 's/^[^/]* \(\/.*\)\/pyperf-[0-9]*-[^/]*\.so$/\1/p' "/proc/$pid/maps" | sort -u)"
    fi
}

# $1: a folder of images. Says which processes make theirs there, one a line.
processes_of() {
    grep -lzxF "PYPERF_DIR=$1" /proc/[0-9]*/environ | sed 's/[^0-9]//g'
} 2>/dev/null

# A daemon: perf records until the program that it has started ends.
tell_daemons() {
    daemons=
    for pid in $(processes_of "$images"); do
        ! grep -q '/pyperf-[0-9]*-[^/]*\.so$' "/proc/$pid/maps" || daemons=$daemons,$pid
    done 2>/dev/null
    daemons=${daemons#,}
    [ -z "$daemons" ] || say "the program has ended, and process $daemons goes on, which it has started:" \
        "what that does is not in the profile; pyperf-run -p $daemons -- sleep 60 records it for a minute"
}
