# pyperf-run's options, and behind them the program's own completion (bash-completion 2.8 or later).
# shellcheck shell=bash

# Sets `program`: the word in which the program stands or would stand, 0 when that is not reached.
# COMP_WORDS, which _command_offset counts, breaks words at = and : too.
_pyperf_run_find_program() {
    local i=1
    program=0
    while ((i < COMP_CWORD)); do
        case ${COMP_WORDS[i]} in
        --)
            program=$((i + 1))
            return ;;
        --report | --diff | --doctor | --attach | --detach)
            return ;;
        -o | -F | -e | -p | --pid | --patience | --output | --freq | --event | --stack-size | --call-graph | --top | \
            --flamegraph | --collapsed | --archive | --json | --sampler | \
            --pprof | --speedscope | --firefox | --perf-data | --source | --sort | --by | --callers | --only | --every | \
            --send | --service | --label)
            [[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))
            ((i += 2))
            while ((i < COMP_CWORD)) && [[ ${COMP_WORDS[i]} == [:=] ]]; do
                ((i += 2))
            done ;;
        --live)
            ((i++))
            # Processes, or else the program.
            [[ ${COMP_WORDS[i]} != [0-9]* || ${COMP_WORDS[i]} == *[!0-9,]* ]] || ((i == COMP_CWORD || i++)) ;;
        -o* | -F* | -e* | -p* | -q | --quiet | --lines | --wall | --gil | --python-only | --children)
            ((i++)) ;;
        -*)
            # Of perf record, which alone knows whether it takes a value.
            while ((i < COMP_CWORD)) && [[ ${COMP_WORDS[i]} != -- ]]; do
                ((i++))
            done
            ((i < COMP_CWORD)) || return ;;
        *) break ;;
        esac
    done
    if ((i < COMP_CWORD)) || [[ $i == "$COMP_CWORD" && ${COMP_WORDS[i]} != [-=:]* ]]; then
        program=$i
    fi
}

# Sets COMPREPLY, of the words given, to those that continue the current one.
_pyperf_run_among() {
    mapfile -t COMPREPLY < <(compgen -W "$*" -- "$cur")
}

_pyperf_run() {
    # shellcheck disable=SC2034  # words, cword: set by _init_completion
    local cur prev words cword split program
    _init_completion -s -n : || return
    _pyperf_run_find_program
    if ((program > 0)); then
        _command_offset "$program"
        return
    fi
    case $prev in
    -o | --output | --flamegraph | --collapsed | --archive | --json | --report | --pprof | --speedscope | --firefox | \
        --perf-data | --source | --diff | --only)
        _filedir
        return ;;
    -e | --event)
        # The kernel's tracepoints would take half a second.
        _pyperf_run_among "$(perf list --raw-dump hw sw cache 2>/dev/null)"
        __ltrim_colon_completions "$cur"
        return ;;
    --sampler)
        _pyperf_run_among perf inside
        return ;;
    --sort)
        _pyperf_run_among own total
        return ;;
    --by)
        _pyperf_run_among thread process
        return ;;
    --call-graph)
        _pyperf_run_among fp dwarf lbr
        return ;;
    --doctor)
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -c -X '!python*' -- "$cur" | sort -u)
        [[ $cur != */* ]] || _filedir
        return ;;
    -p | --pid | --attach | --detach)
        _pids
        return ;;
    --send)
        _pyperf_run_among pyroscope+http:// pyroscope+https:// parca+http:// parca+https://
        compopt -o nospace
        __ltrim_colon_completions "$cur"
        return ;;
    -F | --freq | --stack-size | --top | --patience | --callers | --every | --service | --label)
        return ;;
    esac
    $split && return
    if [[ $cur != -* && " ${words[*]} " == *\ --@(report|diff)[\ =]* ]]; then
        _filedir # another profile
        return
    fi
    _pyperf_run_among --output --sampler --freq --event --stack-size --call-graph --top --lines --wall --gil --json \
        --source --pprof --speedscope --firefox --perf-data --flamegraph --collapsed --archive --report --diff --doctor \
        --sort --by --callers --python-only --only --pid --children --patience --live --every --attach --detach --send \
        --service --label --quiet --help --version
} &&
    complete -F _pyperf_run pyperf-run
