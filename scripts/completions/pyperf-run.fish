# pyperf-run's options, and behind them the program's own completion (fish 3.1 or later).

# Prints the words of the program, as far as they are typed; fails when that is not reached.
function __pyperf_run_program
    set -l words (commandline -opc) (commandline -ct)
    set -e words[1]
    while set -q words[2]
        switch $words[1]
            case --
                set -e words[1]
                break
            case '--report*' '--diff*' --doctor '--attach*' '--detach*'
                return 1
            case -o -F -e -p --pid --patience --output --freq --event --stack-size --call-graph --top --flamegraph \
                    --collapsed --archive --json --sampler --pprof --speedscope --firefox --perf-data --source --sort --by \
                    --callers --only --every --send --service --label
                set -e words[1..2]
            case --live
                set -e words[1]
                # Processes, or else the program.
                set -q words[2]; and string match -qr '^[0-9,]+$' -- $words[1]; and set -e words[1]
            case '-o*' '-F*' '-e*' '-p*' '--*=*' -q --quiet --lines --wall --gil --python-only --children
                set -e words[1]
            case '-*'
                # Of perf record, which alone knows whether it takes a value.
                while set -q words[1]; and test $words[1] != --
                    set -e words[1]
                end
            case '*'
                break
        end
    end
    set -q words[1]; or return 1
    string match -q -- '-*' $words[1]; and return 1
    printf '%s\n' $words
end

function __pyperf_run_complete_program
    __fish_complete_subcommand --commandline (__pyperf_run_program)
end

function __pyperf_run_before_program
    set -l program (__pyperf_run_program)
    test (count $program) -le 1
end

# The kernel's tracepoints would take half a second.
function __pyperf_run_events
    perf list --raw-dump hw sw cache 2>/dev/null | string split -n ' '
end

complete -c pyperf-run -f
set -l here -n __pyperf_run_before_program
complete -c pyperf-run $here -s p -l pid -x -a '(__fish_complete_pids)' -d 'Processes that run already'
complete -c pyperf-run $here -l children -d 'Also the processes below them that run Python'
complete -c pyperf-run $here -l patience -x -d 'Seconds in which a thread must run Python'
complete -c pyperf-run $here -l live -d 'A table that is refreshed'
complete -c pyperf-run $here -l every -x -d 'Seconds between two such tables (1)'
complete -c pyperf-run $here -l attach -x -a '(__fish_complete_pids)' -d 'Only attaches'
complete -c pyperf-run $here -l detach -x -a '(__fish_complete_pids)' -d 'Switches off, and takes away what is left'
complete -c pyperf-run $here -s o -l output -r -F -d 'The profile (perf.data)'
complete -c pyperf-run $here -l sampler -x -a 'perf inside' -d 'What takes the samples'
complete -c pyperf-run $here -s F -l freq -x -d 'Samples a second'
complete -c pyperf-run $here -s e -l event -x -a '(__pyperf_run_events)' -d 'What is sampled'
complete -c pyperf-run $here -l stack-size -x -d 'Bytes of stack copied with each sample'
complete -c pyperf-run $here -l call-graph -x -a 'fp dwarf lbr' -d 'How stacks are found'
complete -c pyperf-run $here -l top -x -d 'Rows of the table (20)'
complete -c pyperf-run $here -l sort -x -a 'own total' -d 'The order of the table'
complete -c pyperf-run $here -l by -x -a 'thread process' -d 'A table for each'
complete -c pyperf-run $here -l callers -x -d 'Who calls a function, and whom it calls'
complete -c pyperf-run $here -l python-only -d 'No functions of C and the kernel'
complete -c pyperf-run $here -l only -r -F -d 'Functions of this file or folder'
complete -c pyperf-run $here -l lines -d 'A row for each line'
complete -c pyperf-run $here -l wall -d 'Elapsed time, not CPU time alone'
complete -c pyperf-run $here -l gil -d 'Only the time in which a thread holds the GIL'
complete -c pyperf-run $here -l json -r -F -d 'Also all functions as JSON'
complete -c pyperf-run $here -l flamegraph -r -F -d 'Also an interactive flame graph, HTML'
complete -c pyperf-run $here -l collapsed -r -F -d 'Also folded stacks'
complete -c pyperf-run $here -l pprof -r -F -d 'Also a profile for pprof'
complete -c pyperf-run $here -l speedscope -r -F -d 'Also a profile for speedscope'
complete -c pyperf-run $here -l firefox -r -F -d 'Also a profile for profiler.firefox.com'
complete -c pyperf-run $here -l perf-data -r -F -d 'Also a perf.data with call chains'
complete -c pyperf-run $here -l source -r -F -d 'A source file with the share of each line'
complete -c pyperf-run $here -l archive -r -F -d 'Also all that another machine needs, .tar.bz2'
complete -c pyperf-run $here -l send -x -a '{pyroscope,parca}+http{,s}://' -d 'To a store of profiles'
complete -c pyperf-run $here -l service -x -d 'What the profile is of'
complete -c pyperf-run $here -l label -x -d 'One more label for the store, KEY=VALUE'
complete -c pyperf-run $here -l report -r -F -d 'Table and so on of profiles that are there'
complete -c pyperf-run $here -l diff -r -F -d 'What differs between two profiles'
complete -c pyperf-run $here -l doctor -x -a '(__fish_complete_command)' \
    -d 'What works here, what does not'
complete -c pyperf-run $here -s q -l quiet -d 'No table, no progress'
complete -c pyperf-run $here -s h -l help -d 'A summary of the options'
complete -c pyperf-run $here -l version -d 'The version'
complete -c pyperf-run -n '__pyperf_run_program >/dev/null' -a '(__pyperf_run_complete_program)'
