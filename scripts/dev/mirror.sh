# mirror.sh - packages of another Debian suite, from the mirror that apt is configured for; sourced.
# mmdebstrap runs apt with its own state, below the folder that it makes: it does not change the
# system, needs no root, and apt checks the signatures.
# shellcheck shell=sh

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

stop() {
    say "$@"
    exit 1
}

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# The address of the first repository whose origin is Debian. Before apt's first update origins are
# unknown: then the first that has this machine's release. False, with $why, if there is none.
find_mirror() {
    mirror=$(targets | sed -n 's/^Debian|Debian|main|[^|]*|//p' | head -n 1)
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    [ -n "$mirror" ] ||
        mirror=$(targets --no-release-info | sed -n "s/^.*|main|$codename|//p" | head -n 1)
    why='apt is configured for no mirror of Debian'
    [ -n "$mirror" ]
}

# $@: options of apt-get indextargets
targets() {
    # shellcheck disable=SC2016  # apt's own
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)' "$@" \
        'Identifier: Packages' 2>/dev/null | grep -v '|cdrom:' || true
}

# $1: deb or deb-src. $2: the suite. $3: a folder to be made. Then options of mmdebstrap. Its output
# is in $3.log. False, with $why, and without the folder, if it fails.
bootstrap() {
    kind=$1
    suite=$2
    folder=$3
    shift 3
    why='mmdebstrap is missing: apt-get install mmdebstrap'
    command -v mmdebstrap >/dev/null || return
    find_mirror || return
    rm -rf -- "$folder"
    apt_options >"$folder.apt"
    signed=
    [ ! -e "$keyring" ] || signed="[signed-by=$keyring] "
    status=0
    LC_ALL=C mmdebstrap --variant=extract --mode=chrootless --skip=cleanup \
        --aptopt="$folder.apt" "$@" "$suite" "$folder" "$kind $signed$mirror $suite main" \
        >"$folder.log" 2>&1 </dev/null || status=$?
    rm -f -- "$folder.apt"
    [ "$status" -ne 0 ] || return 0
    rm -rf -- "$folder"
    why=$(sed -n 's/^E: //p' "$folder.log" | head -n 1)
    why=${why:-mmdebstrap failed with status $status}
    return 1
}

# $1: a source package. $2: its suite. $3: a folder; the source goes to $3/$1. False, with $why, if it
# fails.
fetch_source() {
    export fetched="$3" package="$1"
    # shellcheck disable=SC2016  # for the hook's shell
    bootstrap deb-src "$2" "$3/apt" --extract-hook='cd "$fetched" &&
        APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get --download-only source "$package"' || return
    why="tar cannot unpack the source of $1"
    mkdir -p "$3/$1"
    tar -C "$3/$1" --strip-components=1 -xf "$(find "$3" -maxdepth 1 -name "${1}_*.orig.tar.*" ! -name '*.asc')"
}

# The configuration of the machine's apt, for example its proxy, but never its permission to skip
# signatures. The last value of an option counts.
apt_options() {
    apt-config dump | grep '^Acquire::'
    cat <<'END'
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::GzipIndexes "false";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
END
}
