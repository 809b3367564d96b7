/* test_layout.c - the table of versions, and how an interpreter's own description changes a row.
 * The integration tests confirm rows in real interpreters. */
#include <string.h>

#include "preload/cpython/python.h"
#include "support/support.h"
#include "trampoline/hook.h"

/* _Py_DebugOffsets, compiled from the headers of 3.13.0, 3.14.10 and 3.15.2: where it has each
 * offset, and the offsets, of which one differs. */
enum { OFFSETS = 22, CODE_ADAPTIVE = 5, FRAME_OWNER = 13 };
static const struct described {
    unsigned minor;
    uint16_t places[OFFSETS];
    uint16_t code_adaptive;
    uint8_t code_extra, frame_owner;
} described[] = {
    {13,
     {240, 280, 288, 296, 312, 344, 360, 544, 552, 560, 184,
      232, 248, 264, 304, 64,  72,  112, 168, 176, 192, 216},
     200,
     192,
     70},
    {14,
     {264, 320, 328, 336, 352, 384, 408, 624, 632, 640, 208,
      256, 272, 288, 344, 64,  72,  120, 192, 200, 216, 240},
     208,
     200,
     74},
    {15,
     {328, 384, 392, 400, 416, 448, 472, 720, 728, 736, 208,
      320, 336, 352, 408, 64,  72,  120, 192, 200, 240, 264},
     208,
     200,
     74},
};
/* Those of interpreters and threads are of 3.13; 3.14 and 3.15 have others. */
static const uint16_t values[OFFSETS] = {0, 112, 120, 128, 68,   0,    8,  32, 16, 40,  72,
                                         8, 56,  0,   136, 7264, 7344, 16, 8,  16, 152, 32};

static uint64_t offsets[128];

static void describe(const struct described *one)
{
    memset(offsets, 0xee, sizeof offsets);
    memcpy(offsets, "xdebugpy", 8);
    offsets[1] = (uint64_t)3 << 24 | one->minor << 16 | 0x07f0; /* PY_VERSION_HEX of 3.x.7 */
    offsets[2] = 0;
    for (size_t i = 0; i < OFFSETS; i++)
        offsets[one->places[i] / 8] = i == CODE_ADAPTIVE ? one->code_adaptive
                                      : i == FRAME_OWNER ? one->frame_owner
                                                         : values[i];
}

TEST(takes_what_the_interpreter_says)
{
    for (size_t i = 0; i < LENGTH_OF(described); i++) {
        struct failure why = {.code = FAILURE_NONE};
        struct layout row = *layout_find(3, described[i].minor), *layout = &row;
        describe(&described[i]);
        ck_assert_msg(layout_describe(layout, offsets, &why), "3.%u: %s", described[i].minor,
                      why.what);
        ck_assert_uint_eq(layout->frame_code, 0);
        ck_assert_uint_eq(layout->code_filename, 112);
        ck_assert_uint_eq(layout->code_name, 120);
        ck_assert_uint_eq(layout->code_qualname, 128);
        ck_assert_uint_eq(layout->code_firstlineno, 68);
        ck_assert_uint_eq(layout->unicode_ascii_data, 40);
        ck_assert_uint_eq(layout->code_extra, described[i].code_extra);
        ck_assert_uint_eq(layout->code_adaptive, described[i].code_adaptive);
        ck_assert_uint_eq(layout->code_lines, 136);
        ck_assert_uint_eq(layout->interpreter_next, 7264);
        ck_assert_uint_eq(layout->interpreter_threads, 7344);
        ck_assert_uint_eq(layout->interpreter_gil, 16);
        ck_assert_uint_eq(layout->thread_next, 8);
        ck_assert_uint_eq(layout->thread_interpreter, 16);
        ck_assert_uint_eq(layout->thread_id, 152);
        ck_assert_uint_eq(layout->thread_status, 32);
        ck_assert_uint_eq(layout->thread_frame, 72);
        ck_assert_uint_eq(layout->frame_back, 8);
        ck_assert_uint_eq(layout->frame_instruction, 56);
        ck_assert_uint_eq(layout->frame_owner, described[i].frame_owner);
        ck_assert(layout->has_native_support && layout->minor == described[i].minor);
        ck_assert_ptr_nonnull(hook_find(layout->frame_argument, layout->frame_code,
                                        layout->code_extra, layout->extras_indirect,
                                        layout->inlines_calls, layout->tagged_frames));
    }
}

static void is_refused(size_t i, enum failure_code code)
{
    struct failure why = {.code = FAILURE_NONE};
    const struct layout *row = layout_find(3, described[i].minor);
    struct layout copy = *row;
    ck_assert(!layout_describe(&copy, offsets, &why));
    ck_assert_int_eq(why.code, code);
    ck_assert(!layout_describe(&copy, offsets, NULL));
    ck_assert_mem_eq(&copy, row, sizeof copy);
}

TEST(refuses_what_is_not_its_own)
{
    for (size_t i = 0; i < LENGTH_OF(described); i++) {
        describe(&described[i]);
        memcpy(offsets, "xdebugpx", 8);
        is_refused(i, FAILURE_LAYOUT);
        describe(&described[i]);
        offsets[1] += 1 << 16; /* the next minor version */
        is_refused(i, FAILURE_LAYOUT);
        describe(&described[i]);
        offsets[2] = 1;
        is_refused(i, FAILURE_FREE_THREADED);
        for (size_t j = 6; j < 9; j++) { /* object and string headers are the same in all */
            describe(&described[i]);
            offsets[described[i].places[j] / 8] += 8;
            is_refused(i, FAILURE_LAYOUT);
        }
    }
}

TEST(other_rows_are_as_they_are)
{
    for (unsigned minor = 6; minor <= 12; minor++) {
        const struct layout *row = layout_find(3, minor);
        struct layout copy = *row;
        ck_assert(layout_describe(&copy, NULL, NULL));
        ck_assert_mem_eq(&copy, row, sizeof copy);
        ck_assert_msg(hook_find(row->frame_argument, row->frame_code, row->code_extra,
                                row->extras_indirect, row->inlines_calls,
                                row->tagged_frames) != NULL,
                      "there is no hook for 3.%u", minor);
    }
}

/* Debug builds have two pointers before each object. 2.7's offsets, from its headers with
 * Py_DEBUG. */
TEST(objects_in_a_list)
{
    const struct layout *row = layout_find(2, 7);
    struct layout copy = *row, *traced = &copy;
    layout_trace_references(traced);
    ck_assert(row->head == 0 && traced->head == 16 && traced->python_2);
    ck_assert_uint_eq(traced->frame_code, 48);
    ck_assert_uint_eq(traced->frame_back, 40);
    ck_assert_uint_eq(traced->frame_instruction, 136);
    ck_assert_uint_eq(traced->thread_frame, 16);
    ck_assert_uint_eq(traced->code_flags, 44);
    ck_assert_uint_eq(traced->code_lines, 120);
    ck_assert_uint_eq(traced->code_firstlineno, 112);
    ck_assert_uint_eq(traced->code_consts, 56);
    ck_assert_uint_eq(traced->code_names, 64);
    ck_assert_uint_eq(traced->code_filename, 96);
    ck_assert_uint_eq(traced->code_name, 104);
    ck_assert_uint_eq(traced->function_code, 32);
    ck_assert_uint_eq(traced->function_qualname, 72);
    ck_assert_uint_eq(traced->code_extra, 0);
    ck_assert_uint_eq(traced->code_qualname, 0);
    for (int i = 0; i < 2; i++, row = traced)
        ck_assert_ptr_nonnull(hook_find(0, row->frame_code, 0, false, false, false));
}

TEST(fewer_calls_in_debug_builds)
{
    for (unsigned minor = 6; minor <= 15; minor++) {
        const struct layout *row = layout_find(3, minor);
        struct layout expected = *row, debug = *row;
        layout_count_fewer_calls(&debug);
        if (row->profiled_stack != 0)
            expected.profiled_stack = 72 << 10;
        ck_assert_mem_eq(&debug, &expected, sizeof expected);
    }
}

TEST(knows_no_neighbours)
{
    ck_assert_ptr_null(layout_find(2, 6));
    ck_assert_ptr_null(layout_find(3, 0));
    ck_assert_ptr_null(layout_find(3, 5));
    ck_assert_ptr_null(layout_find(3, 16));
    ck_assert_ptr_null(layout_find(4, 0));
    ck_assert(layout_is_later(3, 16) && layout_is_later(4, 0));
    ck_assert(!layout_is_later(3, 15) && !layout_is_later(2, 7) && !layout_is_later(3, 5));
}
