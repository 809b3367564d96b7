"""Prints the first bytes of the evaluator, in memory and in its file, and the rights of the page,
as JSON."""
import ctypes
import json
import sys
from binascii import hexlify

LENGTH = 32
name = "_PyEval_EvalFrameDefault" if sys.version_info > (3,) else "PyEval_EvalFrameEx"
evaluator = getattr(ctypes.pythonapi, name)
address = ctypes.cast(evaluator, ctypes.c_void_p).value
with open("/proc/self/maps") as maps:
    for line in maps:
        fields = line.split(None, 5)
        start, end = (int(part, 16) for part in fields[0].split("-"))
        if start <= address < end:
            break
with open(fields[5].rstrip("\n"), "rb") as file:
    file.seek(address - start + int(fields[2], 16))
    original = file.read(LENGTH)
found = ctypes.string_at(address, LENGTH)
print(json.dumps(dict(memory=hexlify(found).decode(), file=hexlify(original).decode(), rights=fields[1])))
