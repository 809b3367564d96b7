#include "preload/cpython/code_values.h"

#include <dlfcn.h>
#include <string.h>

#include "preload/cpython/code_table.h"
#include "preload/cpython/code_tags.h"

typedef void (*destructor)(python_object *object);

static destructor destroy; /* the interpreter's own, once ours has replaced it */

/* The values of a co_extra, which is not NULL. */
static const uint64_t *extra_values(const void *extra)
{
    const void *values = (const char *)extra + sizeof(int64_t); /* behind ce_size */
    return python.layout->extras_indirect ? *(const uint64_t *const *)values : values;
}

static uint64_t get_extra(const python_object *code)
{
    const void *extra = python_field(code, python.layout->code_extra);
    if (extra == NULL || *(const int64_t *)extra <= python.extra_index)
        return 0;
    return extra_values(extra)[python.extra_index];
}

/* CPython gives each array room for all users of co_extra, and when the code object dies calls all
 * free functions, also for empty values (Objects/codeobject.c, code_dealloc). Because of our value,
 * a tool that never used this code object would be called, maybe after its end. So the array is cut
 * behind our value if the rest is empty; _PyCode_SetExtra extends it on demand. */
static void trim_extra(python_object *code)
{
    int64_t *size = (int64_t *)python_field(code, python.layout->code_extra);
    const uint64_t *values = extra_values(size);
    while (*size > python.extra_index + 1 && values[*size - 1] == 0)
        --*size;
}

/* Each interpreter has its own list of users of co_extra, and refuses an index that was not
 * requested. libpyperf requests it in a new interpreter's first frame, before other code can, so it
 * gets the same index everywhere. */
static void set_extra(python_object *code, uint64_t value)
{
    if (python._PyCode_SetExtra(code, python.extra_index, (void *)value) == 0) {
        trim_extra(code);
        return;
    }
    python.PyErr_Clear();
    ssize_t index;
    do
        index = python._PyEval_RequestCodeExtraIndex(NULL);
    while (index >= 0 && index < python.extra_index);
    /* Another index means that another tool has ours in this interpreter: its functions then take
     * the slow path on each call, to the same trampolines. */
    if (index == python.extra_index &&
        python._PyCode_SetExtra(code, python.extra_index, (void *)value) == 0)
        trim_extra(code);
    else
        python.PyErr_Clear();
}

static void forget_and_deallocate(python_object *code)
{
    code_table_forget((uintptr_t)code);
    destroy(code);
}

static destructor *place_of_destructor(void)
{
    return (destructor *)(void *)(python.PyCode_Type + python.layout->head + TYPE_DEALLOC);
}

static void watch_deallocation(void)
{
    if (destroy != NULL)
        return;
    destroy = *place_of_destructor();
    *place_of_destructor() = forget_and_deallocate;
}

void code_values_begin(void)
{
    if (python.layout->code_extra != 0)
        python.extra_index = python._PyEval_RequestCodeExtraIndex(NULL);
}

static unsigned probed;

static void probe(python_object *code)
{
    probed++;
    destroy(code);
}

bool code_values_confirm(void)
{
    Dl_info at_destructor, at_evaluator;
    destructor *place = place_of_destructor();
    if (destroy != NULL)
        return true; /* confirmed in an earlier interpreter of this process */
    if (dladdr((const void *)*place, &at_destructor) == 0 ||
        dladdr((const void *)python.evaluator, &at_evaluator) == 0 ||
        at_destructor.dli_fbase != at_evaluator.dli_fbase)
        return false;
    python_object *code = python.PyCode_NewEmpty("pyperf_file", "pyperf_name", 4711);
    if (code == NULL)
        return false;
    probed = 0;
    destroy = *place;
    *place = probe;
    python.Py_DecRef(code);
    *place = destroy;
    destroy = NULL;
    return probed == 1;
}

uint64_t code_values_get(const python_object *code)
{
    return python.layout->code_extra != 0 ? get_extra(code) : code_table_get((uintptr_t)code);
}

void code_values_set(python_object *code, uint64_t value)
{
    /* Otherwise the interpreter was made while profiling was off, and another tool has our
     * index. */
    if (!code_tag_is_ours(code_values_get(code)))
        return;
    if (python.layout->code_extra != 0) {
        set_extra(code, value);
        return;
    }
    watch_deallocation();
    code_table_set((uintptr_t)code, value);
}

void code_values_show(const python_object *code, uint64_t value)
{
    if (python.layout->code_extra == 0)
        code_table_show((uintptr_t)code, value);
}
