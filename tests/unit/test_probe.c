/* test_probe.c - a row of the table is confirmed where the interpreter agrees with it, and refused at
 * the field that stands elsewhere, without harm. */
#include <stdlib.h>
#include <sys/mman.h>

#include "interpreter/interpreter.h"
#include "preload/cpython/code_values.h"
#include "preload/cpython/probe.h"

static const void *start(const struct version *version)
{
    interpreter_start(version->major, version->minor);
    code_values_begin();
    return frame_of(new_code("app.py", "f", "f", 1));
}

/* 2.7's type has a dictionary, in which its members stand. */
static void give_members(void)
{
    python_object *members = PyDict_New(), *member = new_string("member");
    dictionary_set(members, "co_name", member);
    put_field((python_object *)PyCode_Type, interpreter.row.head + TYPE_DICT, members);
}

START_TEST(confirms_every_row)
{
    for (size_t i = 0; i < VERSIONS; i++) {
        struct failure why = {.code = FAILURE_NONE};
        const void *frame = start(&versions[i]);
        give_members();
        for (int life = 0; life < 3; life++) {
            long before = live_objects();
            ck_assert_msg(probe_layout(frame, &why), "%u.%u: %s", versions[i].major,
                          versions[i].minor, why.what);
            ck_assert_ptr_null(pending_type());
            ck_assert_int_eq(live_objects(), before);
        }
    }
}
END_TEST

/* A field of the table, two other places for it, which are nobody's, and what is said then. */
#define FIELD(name, first, second, said)                                                           \
    {                                                                                              \
#name, offsetof(struct layout, name), {first, second }, said                               \
    }
static const struct field {
    const char *name;
    size_t at;
    uint8_t elsewhere[2];
    const char *said;
} fields[] = {
    FIELD(head, 8, 16, "the frame's code object"),
    FIELD(frame_code, 16, 40, "the frame's code object"),
    FIELD(code_filename, 208, 240, "co_filename"),
    FIELD(code_name, 208, 240, "co_name"),
    FIELD(code_qualname, 208, 240, "co_qualname"),
    FIELD(code_firstlineno, 208, 240, "co_firstlineno"),
    FIELD(code_flags, 208, 240, "co_flags"),
    FIELD(code_consts, 208, 240, "co_consts"),
    FIELD(code_names, 208, 240, "co_names"),
    FIELD(code_extra, 208, 240, "co_extra"),
    FIELD(function_code, 112, 120, "func_code"),
    FIELD(function_qualname, 112, 120, "func_code"),
    FIELD(unicode_ascii_data, 49, 56, "co_filename"),
    FIELD(unicode_ascii_state, 0x10, 0, "co_filename"),
};

/* The interpreter has the field at another place than python.layout says. */
static void refuse_field(const struct version *version, const struct field *field, uint8_t offset)
{
    struct failure why = {.code = FAILURE_NONE};
    interpreter_start(version->major, version->minor);
    give_members();
    *((uint8_t *)&interpreter.row + field->at) = offset;
    code_values_begin();
    const void *frame = frame_of(new_code("app.py", "f", "f", 1));
    child_check(!probe_layout(frame, &why), "%u.%u: %s is confirmed", version->major,
                version->minor, field->name);
    child_check(why.code == FAILURE_LAYOUT && strcmp(why.what, field->said) == 0, "%u.%u, %s: %s",
                version->major, version->minor, field->name, why.what);
    child_check(pending_type() == NULL, "%s", pending_text());
}

static const struct version *of_child;

static void refuse_all_fields(void)
{
    for (size_t i = 0; i < LENGTH_OF(fields); i++) {
        const struct layout *row = layout_find(of_child->major, of_child->minor);
        bool is_head = fields[i].at == offsetof(struct layout, head);
        bool is_state = fields[i].at == offsetof(struct layout, unicode_ascii_state);
        if (row->described != NULL && !is_head && !is_state)
            continue; /* the interpreter says it itself */
        if (*((const uint8_t *)row + fields[i].at) == 0 && !is_head)
            continue; /* this version has no such field, or it stands first */
        for (size_t j = 0; j < LENGTH_OF(fields[i].elsewhere); j++)
            refuse_field(of_child, &fields[i], fields[i].elsewhere[j]);
    }
}

START_TEST(refuses_other_offsets)
{
    for (size_t i = 0; i < VERSIONS; i++) {
        of_child = &versions[i];
        assert_in_child(refuse_all_fields);
    }
}
END_TEST

/* Where the name should be there is the file's. */
static void refuse_exchanged_fields(void)
{
    for (size_t i = 0; i < VERSIONS; i++) {
        struct failure why = {.code = FAILURE_NONE};
        interpreter_start(versions[i].major, versions[i].minor);
        interpreter.row.code_name = python.layout->code_filename;
        interpreter.row.code_filename = python.layout->code_name;
        code_values_begin();
        const void *frame = frame_of(new_code("app.py", "f", "f", 1));
        child_check(!probe_layout(frame, &why), "%u.%u", versions[i].major, versions[i].minor);
        child_check(strcmp(why.what, "co_filename") == 0, "%s", why.what);
    }
}

START_TEST(refuses_exchanged_fields)
{
    assert_in_child(refuse_exchanged_fields);
}
END_TEST

/* 3.7's array in the place of 3.6's pointer to one, and the other way round. */
static void refuse_other_extras(void)
{
    for (unsigned minor = 6; minor <= 7; minor++) {
        struct failure why = {.code = FAILURE_NONE};
        interpreter_start(3, minor);
        interpreter.row.extras_indirect = !interpreter.row.extras_indirect;
        code_values_begin();
        const void *frame = frame_of(new_code("app.py", "f", "f", 1));
        child_check(!probe_layout(frame, &why), "3.%u: confirmed", minor);
        child_check(strcmp(why.what, "co_extra") == 0, "3.%u: %s", minor, why.what);
    }
}

START_TEST(refuses_other_extras)
{
    assert_in_child(refuse_other_extras);
}
END_TEST

/* Where the frame's field leads to is nobody's memory. */
START_TEST(refuses_wild_frames)
{
    const uintptr_t wild[] = {
        0, 1, 8, 0x5a5a5a5a5a5a5a5a, UINTPTR_MAX, UINTPTR_MAX - 7, 0x7ffffffff000};
    uint64_t frame[16];
    for (size_t i = 0; i < VERSIONS; i++) {
        start(&versions[i]);
        for (size_t j = 0; j < LENGTH_OF(wild); j++) {
            struct failure why = {.code = FAILURE_NONE};
            for (size_t k = 0; k < LENGTH_OF(frame); k++)
                frame[k] = wild[j];
            ck_assert(!probe_layout(frame, &why));
            ck_assert_str_eq(why.what, "the frame's code object");
        }
        char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        munmap(page + 4096, 4096);
        ck_assert(!probe_layout(page + 4096 - 8, NULL)); /* it ends before the field */
        munmap(page, 4096);
    }
}
END_TEST

/* What the interpreter cannot make now it has not got: that is no reason for a crash, or for an
 * exception in the program. */
START_TEST(without_memory)
{
    static const char *const failing[] = {"PyCode_NewEmpty", "PyDict_New", "PyFunction_New",
                                          "_PyCode_SetExtra"};
    for (size_t i = 0; i < VERSIONS; i++)
        for (size_t j = 0; j < LENGTH_OF(failing); j++) {
            struct failure why = {.code = FAILURE_NONE};
            const void *frame = start(&versions[i]);
            give_members();
            interpreter.failing = failing[j];
            bool confirmed = probe_layout(frame, &why);
            ck_assert_msg(confirmed == (interpreter.failing != NULL), "%u.%u: %s fails: %d",
                          versions[i].major, versions[i].minor, failing[j], confirmed);
            ck_assert_ptr_null(pending_type());
        }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {confirms_every_row,       refuses_other_offsets,
                                  refuses_exchanged_fields, refuses_other_extras,
                                  refuses_wild_frames,      without_memory};
    return run_suite("probe", tests, LENGTH_OF(tests));
}
