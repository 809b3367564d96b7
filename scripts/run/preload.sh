# shellcheck shell=sh
# shellcheck disable=SC2034,SC2154  # variables of pyperf-run and record.sh
# preload.sh: a path of libpyperf.so that LD_PRELOAD takes. Read by record.sh.

# Sets preload. Each process whose loader cannot map a preloaded file says so, so it is tried once here:
# the file may be on a mount that is noexec, or incomplete.
choose_preload() {
    ours=$library
    # LD_PRELOAD is split at blanks and colons and expands "$": such a path needs another name. The
    # folder is linked, not the file, since libpyperf.so looks beside itself for the rest.
    case $library in
    *[!A-Za-z0-9/._+@%,=~-]*)
        ours=$dir/library/${library##*/}
        ln -s "${library%/*}" "$dir/library" ;;
    esac
    refusal=$(loader_says "$ours")
    if [ -n "$refusal" ]; then
        rm -f "$dir/library"
        ours=$dir/library/${library##*/}
        mkdir "$dir/library" && cp "$library" "${library%/*}/libpyperf-plan.so" "$dir/library" 2>/dev/null
        [ -z "$(loader_says "$ours")" ] || ours=
    fi
    [ -n "$ours" ] || say "$library cannot be loaded here, so Python functions get no names:" \
        "$(printf '%s\n' "$refusal" | head -n 1)"
    # The user's own come first: a sanitizer ends a program in which it does not.
    preload=${preloaded:+$preloaded${ours:+:}}$ours
}

# $1: a path for LD_PRELOAD. What is the matter with it, in a program that says nothing. Where the end of
# the file is missing, the program dies: the shell that says so is one whose stderr is read.
loader_says() {
    # shellcheck disable=SC3045  # dash, bash and BusyBox have ulimit -c
    if complaint=$( (ulimit -c 0; LC_ALL=C LD_PRELOAD=$1 sh -c :; exit $?) 2>&1); then
        printf '%s\n' "$complaint" | grep 'libpyperf\.so'
    else
        echo "programs end with status $?"
    fi
}
