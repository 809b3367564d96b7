"""The programs that test_pyperf_run.py runs."""

# Counts what arrives for a second after the first signal, as a graceful shutdown would.
HANDLER = """
import os, signal, sys, time
seen = []
for name in sys.argv[1:]:
    signal.signal(getattr(signal, name), lambda number, frame: seen.append(number))
print("ready", os.getpid(), flush=True)
deadline = time.time() + 30
while not seen and time.time() < deadline:
    time.sleep(0.05)
end = time.time() + 1
while time.time() < end:
    time.sleep(0.05)
print("seen", [int(number) for number in seen], flush=True)
sys.exit(7)
"""

HOT = """
import os, subprocess, sys, time
def hot(seconds):
    end = sum(os.times()[:2]) + seconds
    while sum(os.times()[:2]) < end:
        sum(i * i for i in range(1000))
def main():
    hot(0.5)
    print(os.getpid(), flush=True)
main()
if len(sys.argv) == 1:
    child = os.fork()
    if not child:
        main()
        os._exit(0)
    os.waitpid(child, 0)
"""

# Into memory that is there: new memory costs most of the time in the kernel, if the libc takes it from there.
COPIES = """
import time
data = bytearray(1 << 22)
copy = bytearray(data)
while time.process_time() < 0.5:
    copy[:] = data
"""

# Every disposition that a child can inherit.
DISPOSITIONS = """
import signal
for n in (1, 2, 3, 10, 12, 15):
    print(n, signal.getsignal(n) == signal.SIG_IGN)
"""
