"""Another user of co_extra: its values are its own, in the main interpreter and in another."""
import sys

CODE = '''
import ctypes, sys
libc, api = ctypes.CDLL(None), ctypes.pythonapi
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
names = ("_PyEval_RequestCodeExtraIndex", "_PyCode_SetExtra", "_PyCode_GetExtra")
if sys.version_info >= (3, 12):  # PEP 689
    names = ("PyUnstable_Eval_RequestCodeExtraIndex",)
    names += ("PyUnstable_Code_SetExtra", "PyUnstable_Code_GetExtra")
request, put, get = (api[name] for name in names)
request.argtypes, request.restype = [ctypes.c_void_p], ctypes.c_ssize_t
put.argtypes = [ctypes.py_object, ctypes.c_ssize_t, ctypes.c_void_p]
get.argtypes = [ctypes.py_object, ctypes.c_ssize_t, ctypes.POINTER(ctypes.c_void_p)]
# The C library aborts when a value comes to free() twice, or one that is none of its own.
free = ctypes.cast(libc.free, ctypes.c_void_p)
indexes = [request(free) for _ in range(3)]

def value(code, index):
    found = ctypes.c_void_p()
    get(code, index, ctypes.byref(found))
    return found.value

def make(number):
    space = {}
    exec("def marked_%s(n): return n + 1" % WHERE, space)
    return space["marked_%s" % WHERE]

functions = [make(number) for number in range(100)]
print(all(value(one.__code__, index) is None for one in functions for index in indexes))
values = {}
for number, one in enumerate(functions):
    if number % 2:
        one(1)
    for index in indexes:
        values[number, index] = libc.malloc(64)
        put(one.__code__, index, values[number, index])
print(sum(one(number) for number, one in enumerate(functions)), len(set(indexes)))
print(all(value(functions[number].__code__, index) == values[number, index]
          for number, index in values))
del functions[50:], one
'''
if sys.argv[1] == "main":
    exec(CODE, {"WHERE": "main"})
else:
    try:
        import _testcapi
    except ImportError:
        print("none")
        sys.exit()
    print(_testcapi.run_in_subinterp("WHERE = 'sub'" + CODE))
    exec(CODE, {"WHERE": "after"})
