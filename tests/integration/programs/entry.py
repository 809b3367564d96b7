"""The first bytes of the evaluator, in memory and in the file they come from, and the rights of the
page, as JSON."""
import ctypes
import json

LENGTH = 32
evaluator = ctypes.pythonapi._PyEval_EvalFrameDefault
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
print(json.dumps({"memory": found.hex(), "file": original.hex(), "rights": fields[1]}))
