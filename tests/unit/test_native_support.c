/* test_native_support.c - the switch of 3.12's own perf support is cleared before the interpreter
 * acts on it, and restored afterwards. */
#include "interpreter/interpreter.h"
#include "preload/cpython/native_support.h"

static int32_t *own_switch(void)
{
    return (int32_t *)(interpreter.main->config + 40);
}

static bool has_support(const struct version *one)
{
    return one->major == 3 && one->minor >= 12;
}

TEST(reads)
{
    for (size_t i = 0; i < VERSIONS; i++)
        for (int32_t value = -2; value < 5; value++) {
            interpreter_start(versions[i].major, versions[i].minor);
            *own_switch() = value;
            bool is_on = has_support(&versions[i]) && (value == 1 || value == 2);
            ck_assert_int_eq(native_support_read(), is_on ? value : 0);
            ck_assert_int_eq(*own_switch(), value);
        }
}

static const char *passed_by; /* the module whose first frame shows that it has */

static void give_back(void)
{
    for (int32_t value = 0; value < 4; value++) {
        *own_switch() = value;
        bool is_on = value == 1 || value == 2;
        native_support_take();
        child_check(*own_switch() == (is_on ? 0 : value), "%d", *own_switch());
        for (int i = 0; i < 3 && is_on; i++) {
            raise_pending("the program's"); /* in a frame of a generator */
            native_support_give_back();
            child_check(*own_switch() == 0, "%d: too early", *own_switch());
            child_check(pending_type() != NULL, "%s", "the exception is gone");
            PyErr_Clear();
        }
        PyImport_AddModule(passed_by);
        native_support_give_back();
        child_check(*own_switch() == value, "%d", *own_switch());
        *own_switch() = 0; /* cleared by the interpreter: it is not set again */
        native_support_give_back();
        child_check(*own_switch() == 0, "%d", *own_switch());
        PyDict_DelItemString(interpreter.main->modules, passed_by);
    }
}

static void give_back_in_all(void)
{
    for (size_t i = 0; i < VERSIONS; i++) {
        interpreter_start(versions[i].major, versions[i].minor);
        if (has_support(&versions[i]))
            give_back();
        native_support_take();
        native_support_give_back();
    }
}

TEST(takes_and_gives_back)
{
    for (int i = 0; i < 2; i++) {
        passed_by = i == 0 ? "io" : "__main__";
        assert_in_child(give_back_in_all);
    }
}

TEST(excluded_by_a_jit)
{
    for (size_t i = 0; i < VERSIONS; i++) {
        interpreter_start(versions[i].major, versions[i].minor);
        bool has_jit = versions[i].major == 3 && versions[i].minor >= 14;
        ck_assert(!native_support_is_excluded());
        PySys_SetObject("_jit", PyImport_AddModule("_jit"));
        ck_assert(!native_support_is_excluded());
        interpreter.jit = true;
        long before = live_objects();
        ck_assert_int_eq(native_support_is_excluded(), has_jit);
        ck_assert_int_eq(live_objects(), before);
        interpreter.failing = has_jit ? "is_enabled" : NULL;
        if (has_jit)
            ck_assert(!native_support_is_excluded());
        ck_assert_ptr_null(pending_type());
    }
}
