/* A C++ program with Python inside: thrown HOW calls Python functions that call C++ functions that
 * throw, and catches what they throw below all Python frames. HOW is how Python calls: "module", by
 * a built-in function, or "ctypes". The interpreter is told that the frames are gone; it has not
 * been written for that, so their memory is lost, and it is not finalised. */
#include <Python.h>

#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <unistd.h>

static int destroyed;

struct Noted {
    std::string text;
    ~Noted()
    {
        destroyed++;
    }
};

extern "C" int thrower(int number)
{
    Noted noted{"inner"};
    if (number % 3 == 0)
        throw std::runtime_error("number " + std::to_string(number));
    if (number % 3 == 1)
        throw number;
    return number;
}

static PyObject *throwing(PyObject *, PyObject *number)
{
    Noted noted{"module"};
    return PyLong_FromLong(thrower((int)PyLong_AsLong(number)));
}

/* C++ again, between Python frames. */
static PyObject *between(PyObject *, PyObject *function)
{
    Noted noted{"between"};
    return PyObject_CallFunction(function, NULL);
}

static PyMethodDef methods[] = {
    {"throwing", throwing, METH_O, NULL},
    {"between", between, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

static const char text[] = R"text(
import sys
on = getattr(sys, "activate_stack_trampoline", lambda backend: None)
off = getattr(sys, "deactivate_stack_trampoline", lambda: None)
import os
if "PYPERF_TEST_PLAIN" in os.environ:  # no exception gets through trampolines of 3.12's own
    on, off = (lambda backend: None), (lambda: None)
def by_ctypes():
    import ctypes
    return ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_int)(address)
throw = by_ctypes() if how == "ctypes" else throwing
class Class:
    def method(self, depth, number):
        if depth == 0: return throw(number)
        return between(lambda: self.method(depth - 1, number))
def numbers(depth, number): yield Class().method(depth, number)
def run(depth, number):
    if number == 40: off()
    if number == 60: on("perf")
    exec("def new_%d(): return 1\nnew_%d()" % (number, number), {})
    return sum(numbers(depth, number))
def fibonacci(n): return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)
)text";

/* Where the interpreter thinks that it is. */
struct Place {
    PyThreadState *state = PyThreadState_Get();
#if PY_VERSION_HEX >= 0x030D0000
    _PyInterpreterFrame *frame = state->current_frame;
    int remaining = state->py_recursion_remaining;
#if PY_VERSION_HEX < 0x030E0000
    int of_c = state->c_recursion_remaining;
#endif
    void restore()
    {
        state->current_frame = frame;
        state->py_recursion_remaining = remaining;
#if PY_VERSION_HEX < 0x030E0000
        state->c_recursion_remaining = of_c;
#endif
    }
#elif PY_VERSION_HEX >= 0x030C0000
    _PyCFrame *cframe = state->cframe;
    _PyInterpreterFrame *frame = state->cframe->current_frame;
    int remaining = state->py_recursion_remaining, of_c = state->c_recursion_remaining;
    void restore()
    {
        state->cframe = cframe;
        cframe->current_frame = frame;
        state->py_recursion_remaining = remaining;
        state->c_recursion_remaining = of_c;
    }
#elif PY_VERSION_HEX >= 0x030B0000
    _PyCFrame *cframe = state->cframe;
    _PyInterpreterFrame *frame = state->cframe->current_frame;
    int remaining = state->recursion_remaining;
    void restore()
    {
        state->cframe = cframe;
        cframe->current_frame = frame;
        state->recursion_remaining = remaining;
    }
#else
    struct _frame *frame = state->frame;
    int depth = state->recursion_depth;
#if PY_VERSION_HEX >= 0x030A0000
    CFrame *cframe = state->cframe;
#endif
    void restore()
    {
        state->frame = frame;
        state->recursion_depth = depth;
#if PY_VERSION_HEX >= 0x030A0000
        state->cframe = cframe;
#endif
    }
#endif
};

static std::string call(PyObject *function, int depth, int number)
{
    Place place;
    try {
        PyObject *result = PyObject_CallFunction(function, "ii", depth, number);
        return result == NULL ? "failed" : std::to_string(PyLong_AsLong(result));
    } catch (const std::exception &error) {
        place.restore();
        return error.what();
    } catch (int caught) {
        place.restore();
        return "int " + std::to_string(caught);
    }
}

int main(int, char **argv)
{
    Py_NoSiteFlag = 1;
    Py_Initialize();
    PyObject *globals = PyModule_GetDict(PyImport_AddModule("__main__"));
    for (PyMethodDef *method = methods; method->ml_name != NULL; method++)
        PyDict_SetItemString(globals, method->ml_name, PyCFunction_New(method, NULL));
    PyDict_SetItemString(globals, "how", PyUnicode_FromString(argv[1]));
    PyDict_SetItemString(globals, "address", PyLong_FromVoidPtr((void *)thrower));
    if (PyRun_SimpleString(text) != 0)
        return 1;
    for (int number = 0; number < 90; number++)
        printf("%s\n", call(PyDict_GetItemString(globals, "run"), number % 7, number).c_str());
    PyObject *result = PyObject_CallFunction(PyDict_GetItemString(globals, "fibonacci"), "i", 15);
    printf("destroyed %d, fibonacci %ld\n", destroyed, PyLong_AsLong(result));
    fflush(stdout);
    _exit(0);
}
