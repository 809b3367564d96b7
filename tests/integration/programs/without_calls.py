"""Runs a command without some system calls: a seccomp filter answers them with EPERM.

    without_calls.py NUMBER,... COMMAND...
"""

import ctypes
import os
import struct
import sys

SET_SECCOMP, FILTER, NO_NEW_PRIVILEGES = 22, 2, 38  # linux/prctl.h, linux/seccomp.h
LOAD_WORD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/filter.h
ALLOW, EPERM = 0x7FFF0000, 0x00050001  # linux/seccomp.h, SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO

calls = [int(one) for one in sys.argv[1].split(",")]
# A jump leads over so many lines behind it.
tests = [(JUMP_IF_EQUAL, len(calls) - index, 0, number) for index, number in enumerate(calls)]
lines = [(LOAD_WORD, 0, 0, 0)] + tests + [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, EPERM)]


class Program(ctypes.Structure):
    """linux/filter.h, struct sock_fprog"""

    _fields_ = [("count", ctypes.c_ushort), ("lines", ctypes.c_char_p)]


libc = ctypes.CDLL(None, use_errno=True)
program = Program(len(lines), b"".join(struct.pack("=HBBI", *line) for line in lines))
if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0):
    sys.exit("no filter: " + os.strerror(ctypes.get_errno()))
os.execvp(sys.argv[2], sys.argv[2:])
