/* code.c - code objects and their co_extra (Include/cpython/code.h; PEP 523). */
#include <stdlib.h>

#include "tests/unit/interpreter/interpreter.h"

enum { CODE_BYTES = 256 };

python_object *new_code(const char *file, const char *name, const char *qualname, int line)
{
    const struct layout *row = &interpreter.row;
    python_object *code = new_object(CODE, PyCode_Type, CODE_BYTES);
    struct object *header = object_of(code, CODE, __func__);
    python_object *const items[] = {new_string(file), new_string(name), new_string(qualname),
                                    new_tuple(0),     new_tuple(0),     new_table("table")};
    header->count = LENGTH_OF(items);
    header->items = calloc(header->count, sizeof *header->items);
    memcpy(header->items, items, sizeof items);
    put_field(code, row->code_filename, items[0]);
    put_field(code, row->code_name, items[1]);
    if (row->code_qualname != 0)
        put_field(code, row->code_qualname, items[2]);
    if (row->code_consts != 0)
        put_field(code, row->code_consts, items[3]);
    if (row->code_names != 0)
        put_field(code, row->code_names, items[4]);
    put_field(code, row->code_lines, items[5]);
    put_word(code, row->code_firstlineno, (uint32_t)line, 4);
    if (row->code_flags != 0)
        set_flags(code, FLAGS_OF_FUNCTION);
    if (row->code_extra != 0)
        put_field(code, row->code_extra, NULL);
    return code;
}

/* As in CPython, a new code object has no flags, or CO_NOFREE. */
python_object *PyCode_NewEmpty(const char *file, const char *name, int line)
{
    enter_api(__func__, true);
    if (is_to_fail(__func__))
        return NULL;
    python_object *code = new_code(file, name, name, line);
    if (interpreter.row.code_flags != 0)
        set_flags(code, CODE_FLAG_NOFREE);
    return code;
}

static void exchange(python_object *code, size_t item, size_t offset, python_object *value)
{
    struct object *header = object_of(code, CODE, __func__);
    Py_DecRef(header->items[item]);
    header->items[item] = value;
    put_field(code, offset, value);
}

void set_constants(python_object *code, python_object *tuple)
{
    exchange(code, 3, interpreter.row.code_consts, tuple);
}

void set_names(python_object *code, python_object *tuple)
{
    exchange(code, 4, interpreter.row.code_names, tuple);
}

void set_flags(python_object *code, int flags)
{
    put_word(code, interpreter.row.code_flags, (uint32_t)flags, 4);
}

/* co_extra: ce_size, and the values or a pointer to them. */
struct extra {
    int64_t size;
    uint64_t values[];
};

static struct extra *extra_of(const python_object *code)
{
    return interpreter.row.code_extra == 0
               ? NULL
               : (struct extra *)python_field(code, interpreter.row.code_extra);
}

static uint64_t *values_of(struct extra *extra)
{
    return interpreter.row.extras_indirect ? (uint64_t *)(uintptr_t)extra->values[0]
                                           : extra->values;
}

uint64_t extra_value(const python_object *code, ssize_t i)
{
    struct extra *extra = extra_of(code);
    return extra == NULL || i >= extra->size ? 0 : values_of(extra)[i];
}

ssize_t extra_count(const python_object *code)
{
    struct extra *extra = extra_of(code);
    return extra == NULL ? 0 : extra->size;
}

/* Moves the values to new memory of exactly the size for all requested indexes. */
static struct extra *widen(python_object *code, ssize_t size)
{
    struct extra *old = extra_of(code);
    if (old != NULL && old->size >= size)
        return old;
    size_t bytes = (size_t)size * sizeof(uint64_t);
    bool indirect = interpreter.row.extras_indirect;
    struct extra *extra = calloc(1, sizeof extra->size + (indirect ? sizeof(void *) : bytes));
    extra->size = size;
    if (indirect) {
        uint64_t *values = calloc(1, bytes);
        memcpy(extra->values, &values, sizeof values);
    }
    for (ssize_t i = 0; old != NULL && i < old->size; i++)
        values_of(extra)[i] = values_of(old)[i];
    if (old != NULL && indirect)
        free(values_of(old));
    free(old);
    put_field(code, interpreter.row.code_extra, extra);
    return extra;
}

int _PyCode_SetExtra(python_object *code, ssize_t index, void *value)
{
    struct state *state = interpreter_current();
    enter_api(__func__, true);
    object_of(code, CODE, __func__);
    if (is_to_fail(__func__))
        return -1;
    if (index < 0 || index >= state->extra_users) {
        raise_pending("SystemError: bad argument to internal function");
        return -1;
    }
    struct extra *extra = widen(code, state->extra_users);
    uint64_t *place = &values_of(extra)[index];
    if (*place != 0 && state->extra_free[index] != NULL)
        state->extra_free[index]((void *)(uintptr_t)*place);
    *place = (uint64_t)(uintptr_t)value;
    return 0;
}

int PyUnstable_Code_SetExtra(python_object *code, ssize_t index, void *extra)
{
    return _PyCode_SetExtra(code, index, extra);
}

ssize_t _PyEval_RequestCodeExtraIndex(void (*free_function)(void *))
{
    struct state *state = interpreter_current();
    enter_api(__func__, false);
    if (state->extra_users == (ssize_t)LENGTH_OF(state->extra_free) || is_to_fail(__func__))
        return -1;
    state->extra_free[state->extra_users] = free_function;
    return state->extra_users++;
}

ssize_t PyUnstable_Eval_RequestCodeExtraIndex(void (*free_function)(void *))
{
    return _PyEval_RequestCodeExtraIndex(free_function);
}

/* As in CPython, each free function is called for every index, also for an empty one. */
void destroy_extra(python_object *code)
{
    struct extra *extra = extra_of(code);
    struct state *state = interpreter_current();
    if (extra == NULL)
        return;
    for (ssize_t i = 0; i < extra->size; i++)
        if (i < state->extra_users && state->extra_free[i] != NULL)
            state->extra_free[i]((void *)(uintptr_t)values_of(extra)[i]);
    if (interpreter.row.extras_indirect)
        free(values_of(extra));
    free(extra);
}
