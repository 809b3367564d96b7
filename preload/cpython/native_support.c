#include "preload/cpython/native_support.h"

static int32_t taken; /* the original value of the switch while it is cleared, otherwise 0 */

static int32_t *own_switch(void)
{
    return (int32_t *)((char *)python._Py_GetConfig() + python.layout->config_perf_profiling);
}

int native_support_read(void)
{
    int32_t value = python.layout->has_native_support ? *own_switch() : 0;
    return value == 1 || value == 2 ? value : 0;
}

void native_support_take(void)
{
    taken = native_support_read();
    if (taken != 0)
        *own_switch() = 0;
}

void native_support_give_back(void)
{
    if (taken == 0)
        return;
    python_object *type, *value, *trace;
    python.PyErr_Fetch(&type, &value, &trace);
    /* The first thing that is imported afterwards (init_sys_streams), and what comes next. */
    python_object *modules = python.PyImport_GetModuleDict();
    if (python.PyDict_GetItemString(modules, "io") != NULL ||
        python.PyDict_GetItemString(modules, "__main__") != NULL) {
        *own_switch() = taken;
        taken = 0;
    }
    python.PyErr_Restore(type, value, trace);
}

bool native_support_is_excluded(void)
{
    if (!python.layout->excludes_jit)
        return false;
    python_object *jit = python.PySys_GetObject("_jit"); /* borrowed */
    python_object *answer =
        jit == NULL ? NULL : python.PyObject_CallMethod(jit, "is_enabled", NULL);
    bool excluded = answer != NULL && python.PyObject_IsTrue(answer) == 1;
    if (answer != NULL)
        python.Py_DecRef(answer);
    else
        python.PyErr_Clear();
    return excluded;
}
