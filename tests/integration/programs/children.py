"""Starts one child in the way that the first argument names. Parent and child each write a line to
the file in PYPERF_TEST_CHILDREN: their role, pid, whether they are profiled, their -X options."""
import ctypes
import multiprocessing
import os
import subprocess
import sys

CODE = "import sys; sys.path.insert(0, %r); import children; children.in_child()"


def tell(who):
    active = getattr(sys, "is_stack_trampoline_active", lambda: None)()
    fields = [who, str(os.getpid()), str(active)] + sorted(sys._xoptions)
    with open(os.environ["PYPERF_TEST_CHILDREN"], "a") as file:
        file.write(" ".join(fields) + "\n")


def in_child():
    tell("child")


def only_in_parent():
    tell("parent")


def words():
    return [sys.executable, "-c", CODE % os.path.dirname(os.path.abspath(__file__))]


def finish_fork(pid):
    if pid == 0:
        in_child()
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def os_fork():
    return finish_fork(os.fork())


def c_fork():
    return finish_fork(ctypes.PyDLL(None).fork())


def c_fork_unlocked():
    """CDLL releases the GIL: the child, with its only thread, has it nevertheless."""
    return finish_fork(ctypes.CDLL(None).fork())


def double_fork():
    """As daemons do: the middle one ends at once."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os._exit(finish_fork(os.fork()))
    return os.waitpid(pid, 0)[1]


def pty_fork():
    import pty

    pid, master = pty.fork()
    if pid == 0:
        in_child()
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def of_multiprocessing(method):
    process = multiprocessing.get_context(method).Process(target=in_child)
    process.start()
    process.join()
    return process.exitcode


def multiprocessing_fork():
    return of_multiprocessing("fork")


def multiprocessing_spawn():
    return of_multiprocessing("spawn")


def multiprocessing_forkserver():
    return of_multiprocessing("forkserver")


def multiprocessing_pool():
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(in_child)
    return 0


def subprocess_call():
    return subprocess.call(words())


def subprocess_shell():
    return subprocess.call(["sh", "-c", 'exec "$@"', "sh"] + words())


def subprocess_preexec():
    return subprocess.call(words(), preexec_fn=lambda: None, start_new_session=True)


def os_system():
    return os.system("'%s' -c '%s'" % (words()[0], words()[2].replace("'", '"')))


def posix_spawn():
    if not hasattr(os, "posix_spawn"):
        return os.spawnv(os.P_WAIT, sys.executable, words())
    return os.waitpid(os.posix_spawn(sys.executable, words(), os.environ), 0)[1]


def os_execv():
    os.execv(sys.executable, words())


def os_execlp():
    os.execlp(sys.executable, *words())


def fork_and_exec():
    pid = os.fork()
    if pid == 0:
        os.execv(sys.executable, words())
    return os.waitpid(pid, 0)[1]


if __name__ == "__main__":
    only_in_parent()
    sys.exit(globals()[sys.argv[1]]())
