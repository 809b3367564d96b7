"""The recipe of docs/services.md for a service under the sampler, locked down, and read when it has ended."""

import json

import inside
from debian import run
from harness import case
from manager import Service, drop_in

CASES = []
SAMPLED = 1  # the guide's second drop-in
LOCKED = """ProtectSystem=strict
NoNewPrivileges=yes
SystemCallFilter=@system-service
PrivateTmp=yes
MemoryDenyWriteExecute=yes
"""
TURNS = 6
IN_RUN = """Environment=PYPERF_DIR=/run/shop-profile
StateDirectory=
RuntimeDirectory=shop-profile
RuntimeDirectoryPreserve=yes
"""
UNWRITABLE = "libpyperf: not sampling: no file of samples can be made: /srv: Read-only file system\n"


def event(bench, folder):
    shown = run(bench.machine.enter("pyperf-run", "--report", folder, "--lines", "--json=-"))
    (found,) = json.loads(shown)["events"]
    return found


def look_at_files(bench, what, service, folder):
    found = event(bench, folder)
    inside.look_at_shop(bench, what, found)
    turns, said = service.turns(), service.manager.read("srv/err")
    bench.equal(what + ": results, stderr", (1, ""), (len(set(turns)), said))


def look_at(bench, user, folder, more=""):
    """With SystemCallFilter= as it is here, any other system call would kill the service."""
    run(bench.machine.enter("sh", "-c", "rm -rf /var/lib/shop-profile /var/lib/private/shop-profile /run/shop-profile"))
    with Service(bench.machine, LOCKED + user + more, SAMPLED) as service:
        status = service.status()
        got = (status["Seccomp"], status["NoNewPrivs"], status["Uid"][0] != "0", service.has_own_tmp())
        bench.equal(user.strip() + ": filtered, no new privileges, no root, a /tmp", ("2", "1", True, True), got)
        service.wait_for_turns(TURNS)
        look_at_files(bench, user.strip() + ", running", service, folder)
    bench.equal("result", "success", service.show("Result"))
    look_at_files(bench, user.strip() + ", stopped", service, folder)


@case(CASES)
def systemd_sampled(bench):
    bench.that("drop-in", "PYPERF_SAMPLER in it", "PYPERF_SAMPLER" in drop_in(SAMPLED), repr(drop_in(SAMPLED)))
    for user in ("User=www-data\n", "DynamicUser=yes\n"):
        look_at(bench, user, "/var/lib/shop-profile")


@case(CASES)
def systemd_sampled_in_run(bench):
    look_at(bench, "User=www-data\n", "/run/shop-profile", IN_RUN)


@case(CASES)
def systemd_sampled_and_killed(bench):
    run(bench.machine.enter("rm", "-rf", "/var/lib/shop-profile"))
    with Service(bench.machine, LOCKED + "User=www-data\n", SAMPLED) as service:
        service.wait_for_turns(TURNS)
        service.manager.systemctl("kill", "-s", "KILL", "shop.service")
        look_at_files(bench, "killed", service, "/var/lib/shop-profile")


@case(CASES)
def systemd_sampled_nowhere(bench):
    """ProtectSystem=strict: of the folder the unit says nothing."""
    more = "User=www-data\nEnvironment=PYPERF_DIR=/srv\n"
    with Service(bench.machine, LOCKED + more, SAMPLED) as service:
        service.wait_for_turns(2)
        bench.equal("stderr", UNWRITABLE, service.manager.read("srv/err"))
