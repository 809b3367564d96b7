/* test_code_values.c - a number for each code object, beside other users of co_extra, which is gone
 * with the code object. */
#include <dlfcn.h>
#include <stdlib.h>

#include "interpreter/interpreter.h"
#include "preload/cpython/code_table.h"
#include "preload/cpython/code_tags.h"
#include "preload/cpython/code_values.h"

enum { VALUE = 0x7f0012345670 };
static const uint64_t ours = HOOK_TAG(CODE_TAG_TRAMPOLINES) | VALUE;

static python_object *some_code(void)
{
    return new_code("app.py", "f", "f", 1);
}

static void begin(const struct version *one)
{
    interpreter_start(one->major, one->minor);
    code_values_begin();
}

TEST(is_what_was_set)
{
    for (size_t i = 0; i < VERSIONS; i++) {
        begin(&versions[i]);
        python_object *one = some_code(), *other = some_code();
        ck_assert_uint_eq(code_values_get(one), 0);
        code_values_set(one, ours);
        ck_assert_uint_eq(code_values_get(one), ours);
        ck_assert_uint_eq(code_values_get(other), 0);
        code_values_set(one, ours + 16);
        code_values_set(other, HOOK_TAG(CODE_TAG_QUALIFIED) | 4711);
        ck_assert_uint_eq(code_values_get(one), ours + 16);
        ck_assert_uint_eq(code_values_get(other), HOOK_TAG(CODE_TAG_QUALIFIED) | 4711);
        if (interpreter.row.code_extra != 0)
            ck_assert_uint_eq(extra_value(one, python.extra_index), ours + 16);
        ck_assert_ptr_null(pending_type());
    }
}

/* Other tools request indexes before and after libpyperf; each keeps its values. */
TEST(beside_others)
{
    for (size_t i = 1; i < VERSIONS; i++)
        for (int before = 0; before < 3; before++) {
            interpreter_start(versions[i].major, versions[i].minor);
            for (int j = 0; j < before; j++)
                _PyEval_RequestCodeExtraIndex(NULL);
            code_values_begin();
            ck_assert_int_eq(python.extra_index, before);
            ssize_t theirs = _PyEval_RequestCodeExtraIndex(NULL);
            python_object *code = some_code(), *with_theirs = some_code();
            ck_assert_int_eq(_PyCode_SetExtra(with_theirs, theirs, (void *)0x1230), 0);
            code_values_set(code, ours);
            code_values_set(with_theirs, ours);
            ck_assert_uint_eq(code_values_get(code), ours);
            ck_assert_uint_eq(code_values_get(with_theirs), ours);
            ck_assert_uint_eq(extra_value(with_theirs, theirs), 0x1230);
            /* Empty indexes of theirs are given back; */
            ck_assert_int_eq(extra_count(code), python.extra_index + 1);
            /* they can be used again, and our value stays. */
            ck_assert_int_eq(_PyCode_SetExtra(code, theirs, (void *)0x4560), 0);
            ck_assert_uint_eq(code_values_get(code), ours);
            ck_assert_uint_eq(extra_value(code, theirs), 0x4560);
        }
}

static int freed;
static void free_theirs(void *value)
{
    freed += value == NULL ? 1 : 100;
}

/* When a code object dies, CPython calls every free function, also for an empty index. */
TEST(others_are_not_called_because_of_us)
{
    for (size_t i = 1; i < VERSIONS; i++) {
        begin(&versions[i]);
        _PyEval_RequestCodeExtraIndex(free_theirs);
        python_object *code = some_code();
        freed = 0;
        code_values_set(code, ours);
        Py_DecRef(code);
        ck_assert_int_eq(freed, 0);
    }
}

/* Another tool's value at our index stays. */
TEST(strangers_value_stays)
{
    for (size_t i = 1; i < VERSIONS; i++) {
        begin(&versions[i]);
        python_object *code = some_code();
        uint64_t value = 0x7f00deadbee0; /* a pointer of another tool */
        _PyCode_SetExtra(code, python.extra_index, (void *)value);
        code_values_set(code, ours);
        ck_assert_uint_eq(code_values_get(code), value);
        ck_assert_uint_eq(extra_value(code, python.extra_index), value);
    }
}

/* An interpreter in which our index was not requested refuses it; then it is requested, unless
 * others have it already. */
TEST(other_interpreters)
{
    for (size_t i = 1; i < VERSIONS; i++) {
        begin(&versions[i]);
        interpreter_leave();
        interpreter_enter(interpreter_new(false));
        python_object *code = some_code();
        code_values_set(code, ours);
        ck_assert_uint_eq(code_values_get(code), ours);
        ck_assert_int_eq(interpreter_current()->extra_users, python.extra_index + 1);
        code_values_set(some_code(), ours);
        ck_assert_int_eq(interpreter_current()->extra_users, python.extra_index + 1);
        ck_assert_ptr_null(pending_type());
    }
}

TEST(interpreter_of_others)
{
    for (size_t i = 1; i < VERSIONS; i++) {
        interpreter_start(versions[i].major, versions[i].minor);
        _PyEval_RequestCodeExtraIndex(NULL);
        code_values_begin(); /* 1 */
        interpreter_leave();
        interpreter_enter(interpreter_new(false));
        _PyEval_RequestCodeExtraIndex(NULL);
        python_object *code = some_code();
        code_values_set(code, ours);
        ck_assert_uint_eq(code_values_get(code), ours);
        /* An interpreter in which others have requested all indexes but ours. */
        interpreter_leave();
        interpreter_enter(interpreter_new(false));
        for (int j = 0; j < 2; j++)
            ck_assert_int_eq(_PyEval_RequestCodeExtraIndex(NULL), j);
        code = some_code();
        _PyCode_SetExtra(code, python.extra_index, (void *)0x1230);
        code_values_set(code, ours);
        ck_assert_uint_eq(extra_value(code, python.extra_index), 0x1230);
        ck_assert_ptr_null(pending_type());
    }
}

/* All indexes are taken, or there is no memory: nothing is set, and nothing is raised. */
TEST(cannot_be_set)
{
    for (size_t i = 1; i < VERSIONS; i++) {
        begin(&versions[i]);
        interpreter_leave();
        struct state *full = interpreter_new(false);
        interpreter_enter(full);
        full->extra_users = LENGTH_OF(full->extra_free);
        python_object *code = some_code();
        interpreter.failing = "_PyCode_SetExtra";
        code_values_set(code, ours);
        ck_assert_uint_eq(code_values_get(code), 0);
        ck_assert_ptr_null(pending_type());
        full->extra_users = 0;
        interpreter.failing = "_PyEval_RequestCodeExtraIndex";
        code_values_set(code, ours);
        ck_assert_uint_eq(code_values_get(code), 0);
        ck_assert_ptr_null(pending_type());
        code_values_set(code, ours);
        ck_assert_uint_eq(code_values_get(code), ours);
    }
}

/* 2.7: a new code object at the address of a dead one has no value. */
TEST(gone_with_the_code)
{
    begin(&versions[0]);
    python_object *code = some_code(), *other = some_code();
    code_values_set(code, ours);
    code_values_set(other, ours + 16);
    code_values_show(code, ours);
    ck_assert_uint_eq(code_table_get((uintptr_t)code), ours);
    uintptr_t address = (uintptr_t)code;
    long before = live_objects();
    Py_DecRef(code);
    ck_assert_int_lt(live_objects(), before); /* the interpreter's own destructor has run */
    ck_assert_uint_eq(code_table_get(address), 0);
    ck_assert_uint_ne(hook_state.codes[address >> HOOK_CODE_SHIFT & (HOOK_CODES - 1)].code,
                      address);
    ck_assert_uint_eq(code_values_get(other), ours + 16);
    Py_DecRef(other);
}

/* The destructor is replaced before the first value is set; until then the type is unchanged. */
TEST(type_is_left_alone)
{
    char as_it_was[TYPE_BYTES];
    begin(&versions[0]);
    memcpy(as_it_was, PyCode_Type, TYPE_BYTES);
    python_object *code = some_code();
    long before = live_objects();
    ck_assert(code_values_confirm());
    ck_assert_int_eq(live_objects(), before);
    ck_assert_uint_eq(code_values_get(code), 0);
    ck_assert_mem_eq(as_it_was, PyCode_Type, TYPE_BYTES);
    code_values_set(code, ours);
    ck_assert(memcmp(as_it_was, PyCode_Type, TYPE_BYTES) != 0);
    memcpy(as_it_was, PyCode_Type, TYPE_BYTES);
    code_values_set(some_code(), ours);
    ck_assert(code_values_confirm()); /* in the next interpreter */
    ck_assert_mem_eq(as_it_was, PyCode_Type, TYPE_BYTES);
}

/* A destructor in another object than the interpreter. */
TEST(no_such_destructor)
{
    begin(&versions[0]);
    interpreter.failing = "PyCode_NewEmpty";
    ck_assert(!code_values_confirm());
    PyErr_Clear();
    void *of_libc = dlsym(RTLD_DEFAULT, "gnu_get_libc_version");
    memcpy(PyCode_Type + TYPE_DEALLOC, &of_libc, sizeof of_libc);
    ck_assert(!code_values_confirm());
}
