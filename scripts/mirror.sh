# mirror.sh - packages of another Debian suite, from the mirror that apt is configured for, with apt's
# state in a folder of its own; sourced by scripts that set $suite and $state, a folder with lists/
# and archives/partial/ and, as dpkg's, status.
# shellcheck shell=sh disable=SC2154

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

stop() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

say() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

# Why there is nothing of the suite; false, for who calls it.
because() {
    say "${state##*/}: $*"
    printf '%s\n' "$*" >"$state/why"
    return 1
}

# The address of the first repository that calls itself Debian. Before apt's first update none says
# what it is: then the first that has the release of this machine.
find_mirror() {
    command -v apt-get >/dev/null || because 'there is no apt-get here' || return
    mirror=$(targets | sed -n 's/^Debian|Debian|main|[^|]*|//p' | head -n 1)
    codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
    [ -n "$mirror" ] ||
        mirror=$(targets --no-release-info | sed -n "s/^.*|main|$codename|//p" | head -n 1)
    [ -n "$mirror" ] || because 'apt is configured for no mirror of Debian'
}

# $@: options of apt-get indextargets
targets() {
    # shellcheck disable=SC2016  # apt's own
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(COMPONENT)|$(RELEASE)|$(REPO_URI)' "$@" \
        'Identifier: Packages' 2>/dev/null | grep -v '|cdrom:' || true
}

# apt's own configuration holds, since there may be a proxy in it; but its hooks and pins are for
# the system. -c is read last.
#
# $1: deb or deb-src
configure() {
    signed=
    [ ! -e "$keyring" ] || signed="[signed-by=$keyring] "
    echo "$1 $signed$mirror $suite main" >"$state/sources"
    cat >"$state/apt.conf" <<END
Dir::State "$state";
Dir::State::status "$state/status";
Dir::State::lists "$state/lists";
Dir::State::extended_states "$state/extended_states";
Dir::Cache "$state";
Dir::Cache::archives "$state/archives";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "$state/sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Log "$state";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Post-Invoke-Stats;
#clear DPkg::Pre-Install-Pkgs;
#clear DPkg::Pre-Invoke;
#clear DPkg::Post-Invoke;
#clear APT::Default-Release;
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Acquire::https::Timeout "20";
END
}

apt_get() {
    LC_ALL=C apt-get -c "$state/apt.conf" -qq -y "$@" >"$state/log" 2>&1 </dev/null
}

# $1: what to say where apt says nothing
reason() {
    why=$(sed -n 's/^E: //p' "$state/log" | head -n 1)
    [ -n "$why" ] || why=$(sed -n 's/^W: //p' "$state/log" | head -n 1)
    printf '%s\n' "${why:-$1}"
}
