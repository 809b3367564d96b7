"""Child processes: forked ones share our memory, but no files; others start fresh."""

import json
import os

import perf
from harness import Skip, case
from maps import Map, look_at_form

CASES = []

# The functions that only one process of programs/forks.py runs.
FAMILY = ("parent", "child", "grandchild")
OWN = {
    "parent": {"in_parent", "parent_hot", "only_before"},
    "child": {"in_child", "child_hot"},
    "grandchild": {"in_grandchild", "grandchild_hot"},
}
CALLERS = {
    "parent": ["main", "<module>"],
    "child": ["child", "main", "<module>"],
    "grandchild": ["child", "main", "<module>"],
}


def own_of_others(who):
    return set().union(*(OWN[other] for other in FAMILY if other != who))


def remember(bench, pids):
    bench.pids.update(pids)
    return pids


def look_at_family_maps(bench, how):
    program = bench.program("forks.py")
    done = bench.run_python(program, how, "0.01")
    bench.equal("%s: status, stderr" % how, (0, ""), (done.status, done.err))
    family = json.loads(done.out)
    remember(bench, family.values())
    for who in FAMILY:
        map_file = Map(bench.map_path(family[who]))
        names = map_file.of_file(program)
        where = "%s: map of the %s" % (how, who)
        look_at_form(bench, map_file)
        bench.equal("%s, its own and what all run" % where, [], missing(names, who))
        bench.equal("%s, names of others" % where, [], sorted(own_of_others(who) & set(names)))
        images = bench.image_paths(family[who], bench.images)
        bench.equal("%s, images" % where, 1, len(images))


def missing(names, who):
    return sorted((OWN[who] | {"burn", "repeat", "suspended"}) - set(names))


@case(CASES)
def fork_maps(bench):
    look_at_family_maps(bench, "os")


@case(CASES)
def fork_maps_by_c(bench):
    """fork() called from C: no Python code of os.fork runs."""
    look_at_family_maps(bench, "c")


@case(CASES, needs=("perf",))
def fork_stacks(bench):
    """Frames that a child has inherited keep their names; no process shows names of another."""
    program = bench.program("forks.py")
    done, data = perf.record(bench, [bench.python, program, "os", "0.7"])
    family = json.loads(done.out)
    remember(bench, family.values())
    samples = perf.script(bench, data)
    for who in FAMILY:
        own = [one for one in samples if one.pid == family[who]]
        leaf = "%s_hot:%s" % (who, program)
        hot = [one for one in own if leaf in one.python]
        names = ["burn", who + "_hot", "repeat", "in_" + who] + CALLERS[who]
        chain = ["%s:%s" % (name, program) for name in names]
        good = [one for one in hot if one.python in (chain, chain[1:])]
        got = "complete " + perf.share(len(good), len(hot))
        enough = len(hot) >= 100 and len(good) >= 0.99 * len(hot)
        bench.that("the %s's stacks" % who, "99 % of 100 or more", enough, got)
        foreign = {name[: -len(program) - 1] for one in own for name in one.python}
        foreign = sorted(foreign & own_of_others(who))
        bench.equal("the %s's samples, names of others" % who, [], foreign)


@case(CASES)
def fork_while_walked(bench):
    """The loader's lock is held at the fork and stays locked in the child."""
    done = bench.run_python(bench.program("forks_walked.py"), "20", "0")
    hung, parent, pids = json.loads(done.out)
    remember(bench, pids + [parent])
    bench.equal("children that wait for ever", 0, hung)
    names = [Map(bench.map_path(pid)).names for pid in pids]
    named = sum(any(one.startswith("in_child:") for one in those) for those in names)
    bench.equal("children whose function has a name", 20, named)


LOADED = """
import ctypes, glob, os, sys
pid = os.fork()
if pid == 0:
    def only_in_child(): return 0
    only_in_child()
    images = glob.glob(os.path.join(sys.argv[1], "pyperf-%d-*.so" % os.getpid()))
    os.write(1, b"%d " % len(images))
    for image in images:
        ctypes.CDLL(image, ctypes.RTLD_LOCAL | 4)  # RTLD_NOLOAD: fails if the loader has not loaded it
    os._exit(7)
print(os.waitpid(pid, 0)[1] >> 8)
"""


@case(CASES)
def fork_images_loaded(bench):
    """In a child, too, the loader knows the images: gdb and unwinders see them."""
    done = bench.run_python(bench.write("loaded.py", LOADED), bench.images)
    bench.equal("images, status of the child", (0, "1 7\n", ""), done.seen)


@case(CASES, needs=("perf",))
def fork_while_walked_stacks(bench):
    program = bench.program("forks_walked.py")
    done, data = perf.record(bench, [bench.python, program, "4", "0.5"])
    hung, parent, pids = json.loads(done.out)
    remember(bench, pids + [parent])
    bench.equal("children that wait for ever", 0, hung)
    own = [one for one in perf.script(bench, data) if one.pid in pids]
    chain = ["%s:%s" % (name, program) for name in ("in_child", "main", "<module>")]
    hot = [one for one in own if chain[0] in one.python]
    good = [one for one in hot if one.python == chain]
    enough = len(hot) >= 100 and len(good) >= 0.99 * len(hot)
    bench.that("stacks", "99 % of 100 or more", enough, "complete " + perf.share(len(good), len(hot)))


MANY_CHILDREN = """
import json, os
def in_parent_and_children(): pass
def in_children(): pass
in_parent_and_children()
pids = []
for number in range(40):
    pid = os.fork()
    if pid == 0:
        in_parent_and_children()
        if number == 39: in_children()
        os._exit(0)
    os.waitpid(pid, 0)
    pids.append(pid)
print(json.dumps(pids))
"""


@case(CASES)
def fork_of_many(bench):
    """A child has an image when it calls something that its parent has not called before."""
    done = bench.run_python("-c", MANY_CHILDREN)
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    pids = remember(bench, json.loads(done.out))
    names = [Map(bench.map_path(pid)).of_file("<string>") for pid in pids]
    named = sum("in_parent_and_children" in those for those in names)
    bench.equal("children whose function is in their map", 40, named)
    images = [len(bench.image_paths(pid, bench.images)) for pid in pids]
    bench.equal("their images", [0] * 39 + [1], images)
    bench.equal("the last one's own function", True, "in_children" in names[-1])


@case(CASES)
def multiprocessing_fork(bench):
    program = bench.program("pool.py")
    done, plain = bench.run_python(program), bench.plain(program)
    bench.equal("status, stderr", (plain.status, plain.err), (done.status, done.err))
    parent, *workers = remember(bench, json.loads(done.out))
    names = Map(bench.map_path(parent)).of_file(program)
    bench.equal("the parent's own function", True, "only_in_parent" in names)
    foreign = [one for one in names if one in ("only_in_worker", "set_up")]
    bench.equal("the workers' in its map", [], foreign)
    for number, worker in enumerate(workers):
        map_file = Map(bench.map_path(worker))
        look_at_form(bench, map_file)
        names = map_file.of_file(program)
        expected = {"set_up", "only_in_worker"}
        bench.equal("worker %d's own" % number, [], sorted(expected - set(names)))
        bench.equal("the parent's in its map", False, "only_in_parent" in names)


@case(CASES)
def subprocess_and_exec(bench):
    program = bench.program("execs.py")
    done = bench.run_python(program)
    bench.equal("status, stderr", (0, ""), (done.status, done.err))
    child, successor = remember(bench, [int(word) for word in done.out.split()])
    bench.equal("exec keeps the pid", done.pid, successor)
    own = {"before", "in_child", "in_successor"}
    names = [one for one in Map(bench.map_path(child)).names if one.split(":")[0] in own]
    bench.equal("the child's own", ["in_child:<string>"], names)
    map_file = Map(bench.map_path(successor))
    names = [one for one in map_file.names if one.split(":")[0] in own]
    expected = ["before:" + program, "in_successor:<string>"]
    bench.equal("before and after exec, in one map", expected, names)
    bench.equal("lines that are none", [], map_file.malformed)


HOT = """
import sys, time
end = time.process_time() + 0.6
def %s():
    for i in range(3000): pass
while time.process_time() < end: %s()
sys.stdout.flush()
"""


@case(CASES, needs=("perf",))
def exec_stacks(bench):
    """The same pid before and after an exec: perf distinguishes the two programs by their images.
    At fixed addresses, because also without libpyperf perf 6.1 does not unwind a library that is
    mapped again elsewhere."""
    fixed = ["setarch", "-R"]
    if bench.run(fixed + ["true"], bench.environment(preload=False)).status != 0:
        raise Skip("addresses cannot be fixed here: setarch -R is not permitted")
    later = bench.write("later.py", HOT % ("later", "later"))
    text = HOT % ("before", "before")
    text += "import os; os.execv(sys.executable, [sys.executable, %r])" % later
    done, data = perf.record(bench, fixed + [bench.python, bench.write("before.py", text)])
    bench.equal("status", 0, done.status)
    samples = perf.script(bench, data)
    bench.pids.update(one.pid for one in samples)
    for name in ("before", "later"):
        path = os.path.join(bench.folder, name + ".py")
        chain = ["%s:%s" % pair for pair in ((name, path), ("<module>", path))]
        hot = [one for one in samples if chain[0] in one.python]
        good = [one for one in hot if one.python == chain]
        enough = len(hot) >= 100 and len(good) >= 0.99 * len(hot)
        got = "complete " + perf.share(len(good), len(hot))
        bench.that(name, "99 % of 100 or more", enough, got)
