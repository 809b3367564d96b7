# shellcheck shell=sh
# shellcheck disable=SC2154  # variables of pyperf-run and choices.sh
# isolated.sh: says before the run that the interpreter will ignore PYTHONPERFSUPPORT, where its command
# line shows it. Read by record.sh. Where it does not, the table says so afterwards (totals.py).

# $@: options of perf record, as many as perf_words says; then the program. find_interpreter has looked
# at the program's file: first is its first line.
check_isolated() {
    shift "$perf_words"
    started=$1
    shift
    case ${interpreter##*/}:$first:${started##*/} in
    python*:'#!'*)
        # shellcheck disable=SC2086  # as the kernel splits it, or env
        set -- ${first#??}
        while [ "${1##*/}" != "${interpreter##*/}" ] && [ $# -gt 1 ]; do
            shift
        done
        shift ;;
    # A shell's script of this name (pyenv's) hands its arguments on.
    python* | *:python*) ;;
    *) return 0 ;;
    esac
    ignores_environment "$@" || return 0
    case ${interpreter##*/} in
    python*) whose=$interpreter ;;
    *) whose=$started ;;
    esac
    remedy="use -X perf: $whose -X perf $isolating ..."
    case $("$whose" -V 2>&1) in
    'Python 2'*) remedy="leave $isolating out: Python 2.7 has no -X perf" ;;
    esac
    say "$started: with $isolating Python ignores the environment, and so PYTHONPERFSUPPORT, with which" \
        "pyperf-run switches profiling on: there will be no Python functions; $remedy"
}

# $@: an interpreter's arguments. Sets isolating to the option, -E or -I. Options end with -c, -m, -, --
# and the script; with -X perf the environment does not matter (cpython Python/getopt.c, 3.13).
ignores_environment() {
    isolating=
    while [ $# -gt 0 ]; do
        case $1 in
        --check-hash-based-pycs) [ $# = 1 ] || shift ;;
        --?*) ;;
        -- | - | [!-]* | '') break ;;
        *)
            letters=${1#-}
            while [ -n "$letters" ]; do
                rest=${letters#?}
                case $letters in
                E* | I*) isolating=-${letters%"$rest"} ;;
                c* | m*) break 2 ;;
                W* | X*)
                    [ -n "$rest" ] || [ $# = 1 ] || { rest=$2 && shift; }
                    case $letters:$rest in
                    X*:perf | X*:perf=* | X*:perf_jit | X*:perf_jit=*) return 1 ;;
                    esac
                    break ;;
                esac
                letters=$rest
            done ;;
        esac
        shift
    done
    [ -n "$isolating" ]
}
