/* test_python_frames.c - chains of frames of each version, made by hand: their order, instructions
 * and evaluators; chains that are being changed, without end, or garbage. */
#include "preload/cpython/python_frames.h"

#include "interpreter/interpreter.h"
#include "support/guarded.h"
#include "support/made_frames.h"

enum { FRAMES = 12000, OWNED_BY_GENERATOR = 1 };

static struct {
    void *previous;
    size_t size, top; /* _PyStackChunk */
    char frames[FRAMES][FRAME];
} chunk, *last_chunk;
static char evaluators[4][FRAME]; /* the C frames of evaluators: _PyCFrame, or a frame */
static char generator[FRAME];
static struct python_calls calls;
static python_object *codes[4];

static bool has_chunks(void)
{
    return row()->thread_chunk != 0;
}

static bool has_cframes(void)
{
    return row()->cframe_previous != 0;
}

static bool has_evaluator_frames(void)
{
    return row()->frame_owner != 0 && row()->frame_is_entry == 0;
}

static void start(void)
{
    interpreter_start(version.major, version.minor);
    chunk.size = sizeof chunk;
    last_chunk = &chunk;
    if (has_chunks())
        put(thread_state, row()->thread_chunk, last_chunk);
    for (int i = 0; i < 4; i++)
        codes[i] = new_code("file", "name", "name", i);
}

/* A frame of code `n`, with an instruction of its own. */
static void set_frame(void *frame, int n, const void *back)
{
    make_frame(frame, codes[n], 10 * (uint32_t)n + 2, back);
}

static void set_first(const void *frame)
{
    if (has_cframes()) {
        make_cframe(evaluators[0], frame, evaluators[1]);
        make_cframe(evaluators[1], NULL, NULL);
        put(thread_state, row()->thread_frame, evaluators[0]);
    } else {
        put(thread_state, row()->thread_frame, frame);
    }
}

/* Innermost first: 0 and 1, a generator, in one evaluator; 2 in another. */
static void link_calls(void)
{
    bool marks = has_evaluator_frames();
    set_frame(chunk.frames[2], 2, NULL);
    if (marks) {
        make_c_frame(evaluators[2], NULL);
        make_c_frame(evaluators[3], chunk.frames[2]);
        put(chunk.frames[2], row()->frame_back, evaluators[2]);
    }
    set_frame(generator, 1, marks ? evaluators[3] : chunk.frames[2]);
    if (row()->frame_owner != 0)
        generator[row()->frame_owner] = OWNED_BY_GENERATOR;
    set_frame(chunk.frames[0], 0, generator);
    if (row()->frame_is_entry != 0)
        generator[row()->frame_is_entry] = chunk.frames[2][row()->frame_is_entry] = 1;
    set_first(chunk.frames[0]);
}

static void read_calls(void)
{
    struct python_place place = {.thread = (char *)thread_state};
    python_frames_read(&calls, &place);
}

static const char *evaluator_of(int n)
{
    if (row()->frame_owner == 0)
        return NULL;
    return row()->frame_is_entry != 0 ? evaluators[n == 2] : evaluators[n == 2 ? 2 : 3];
}

static void check_calls(uint32_t from)
{
    child_check(calls.count == 3 - from && !calls.cut, "%u, cut %d", calls.count, calls.cut);
    for (uint32_t i = from; i < 3; i++) {
        const struct python_call *call = &calls.at[i - from];
        child_check(call->code == codes[i], "call %u", i);
        child_check(call->instruction == 10 * i + 2, "call %u: %u", i, call->instruction);
        child_check(call->evaluator == (uintptr_t)evaluator_of((int)i), "call %u: %#lx", i,
                    call->evaluator);
    }
}

TEST_BY(for_each_version, calls_in_order)
{
    start();
    link_calls();
    read_calls();
    check_calls(0);
    read_calls();
    check_calls(0);
}

TEST_BY(for_each_version, no_calls)
{
    start();
    set_first(NULL);
    read_calls();
    child_check(calls.count == 0 && !calls.cut, "%u", calls.count);
    put(thread_state, row()->thread_frame, NULL);
    read_calls();
    child_check(calls.count == 0 && !calls.cut, "%u", calls.count);
    link_calls();
    struct python_place unknown = {.thread = NULL}; /* a thread that Python does not know */
    calls.count = 4711;
    python_frames_read(&calls, &unknown);
    child_check(calls.count == 0 && !calls.cut, "%u", calls.count);
}

/* 3.12 unlinks a generator that yields before its caller is the current frame (Python/bytecodes.c,
 * YIELD_VALUE): the chain ends before an evaluator's frame. */
TEST_BY(for_each_version, an_unlinked_generator)
{
    start();
    link_calls();
    put(generator, row()->frame_back, NULL);
    set_first(generator);
    read_calls();
    child_check(calls.count == 1 && calls.cut == has_evaluator_frames(), "%u, cut %d", calls.count,
                calls.cut);
}

/* f_lasti is -1 before the first instruction; prev_instr and instr_ptr are a code unit before
 * it. */
TEST_BY(for_each_version, no_instruction_yet)
{
    start();
    link_calls();
    if (row()->code_adaptive != 0)
        put(chunk.frames[0], row()->frame_instruction, (char *)codes[0] + row()->code_adaptive - 2);
    else
        memset(chunk.frames[0] + row()->frame_instruction, 0xff, 4);
    read_calls();
    child_check(calls.at[0].instruction ==
                    (row()->code_adaptive != 0 ? UINT32_MAX - 1 : UINT32_MAX),
                "%u", calls.at[0].instruction);
}

TEST_BY(for_each_version, more_than_are_kept)
{
    start();
    for (int i = 0; i < FRAMES; i++)
        set_frame(chunk.frames[i], i % 4, i + 1 < FRAMES ? chunk.frames[i + 1] : NULL);
    set_first(chunk.frames[0]);
    read_calls();
    child_check(calls.cut && calls.count == PYTHON_CALLS, "%u", calls.count);
    for (int i = 0; i < PYTHON_CALLS; i++)
        child_check(calls.at[i].code == codes[i % 4], "%d", i);
    /* With the frame of the evaluator, they are as many as are read. */
    uint32_t most = has_evaluator_frames() ? PYTHON_CALLS - 1 : PYTHON_CALLS;
    make_c_frame(evaluators[2], NULL);
    put(chunk.frames[most - 1], row()->frame_back, has_evaluator_frames() ? evaluators[2] : NULL);
    read_calls();
    child_check(!calls.cut && calls.count == most, "%u", calls.count);
}

TEST_BY(for_each_version, chains_without_end)
{
    start();
    link_calls();
    put(chunk.frames[2], row()->frame_back, chunk.frames[0]);
    read_calls();
    child_check(calls.cut && calls.count == PYTHON_CALLS, "%u", calls.count);
    if (!has_evaluator_frames())
        return;
    make_c_frame(evaluators[2], evaluators[3]);
    make_c_frame(evaluators[3], evaluators[2]);
    set_first(evaluators[2]);
    read_calls();
    child_check(calls.cut && calls.count == 0, "%u", calls.count);
    if (!has_cframes())
        return;
    make_cframe(evaluators[0], chunk.frames[0], evaluators[0]);
    read_calls();
    child_check(calls.cut, "%u", calls.count);
}

/* Chunks of memory that are linked, and a list of them without end. */
TEST_BY(for_each_version, several_chunks)
{
    static struct {
        void *previous;
        size_t size, top;
        char frame[FRAME];
    } small;
    start();
    if (!has_chunks())
        return;
    link_calls();
    small.previous = &chunk;
    small.size = sizeof small;
    memcpy(small.frame, chunk.frames[0], FRAME);
    put(thread_state, row()->thread_chunk, &small);
    set_first(small.frame);
    read_calls();
    check_calls(0);
    chunk.previous = &small; /* not ended: a frame elsewhere is tested, and found */
    read_calls();
    check_calls(0);
}

/* Pointers that lead nowhere, while a frame is linked or unlinked. To 3.10 there are none, because
 * frame objects are complete before they are linked, until the interpreter frees the states of
 * threads that still run. */
TEST_BY(for_each_version, garbage)
{
    start();
    is_finalizing = !has_chunks();
    char *const end = (char *)guarded_end();
    void *const wrong[] = {(void *)8,
                           (void *)1,
                           end,
                           end - 8,
                           end - 56,
                           (void *)(UINTPTR_MAX - 7),
                           (void *)((uintptr_t)1 << 63),
                           chunk.frames[3] + 4,
                           (void *)(uintptr_t)0x5a5a5a5a5a5a5a5a};
    for (size_t i = 0; i < LENGTH_OF(wrong); i++) {
        link_calls();
        put(generator, row()->frame_back, wrong[i]);
        read_calls();
        child_check(calls.cut && calls.count == 2, "%zu: %u", i, calls.count);
        set_first(wrong[i]);
        read_calls();
        child_check(calls.cut && calls.count == 0, "%zu: %u", i, calls.count);
        link_calls();
        put(chunk.frames[0], row()->frame_code,
            wrong[i]); /* whoever reads the code object tests it */
        read_calls();
        child_check(!calls.cut && calls.count == 3, "%zu: %u", i, calls.count);
        if (!has_cframes())
            continue;
        put(thread_state, row()->thread_frame, wrong[i]);
        read_calls(); /* end - 56 is no frame, but zeros that say that there is none */
        child_check(calls.count == 0 && calls.cut == (wrong[i] != end - 56), "%zu: %u", i,
                    calls.count);
        link_calls();
        put(evaluators[0], row()->cframe_previous, wrong[i]);
        read_calls();
        child_check(calls.count == 3, "%zu: %u", i, calls.count);
    }
    /* At the end of memory, whole: what is behind its last member is not needed. */
    size_t size = (size_t)(row()->frame_owner != 0 ? row()->frame_owner : row()->frame_instruction);
    size = (size + 8) / 8 * 8;
    link_calls();
    memcpy(end - size, chunk.frames[0], size);
    set_first(end - size);
    read_calls();
    check_calls(0);
}

/* A thread that has no chunk of memory yet, or not any more. */
TEST_BY(for_each_version, garbage_without_chunks)
{
    start();
    if (!has_chunks())
        return;
    put(thread_state, row()->thread_chunk, NULL);
    link_calls();
    read_calls();
    check_calls(0);
    put(generator, row()->frame_back, guarded_end());
    read_calls();
    child_check(calls.cut && calls.count == 2, "%u", calls.count);
}

/* The interpreter frees states, chunks and frames of threads that still run. */
TEST_BY(for_each_version, while_the_interpreter_ends)
{
    start();
    is_finalizing = true;
    link_calls();
    read_calls();
    check_calls(0);
    child_check(calls.doubtful, "%s", "code objects need not be tested");
    if (has_chunks()) {
        void *const wrong[] = {(void *)8, (void *)12, guarded_end(), guarded_end() - 8};
        for (size_t i = 0; i < LENGTH_OF(wrong); i++) {
            put(thread_state, row()->thread_chunk, wrong[i]);
            read_calls();
            check_calls(0);
        }
    }
    is_finalizing = false;
    put(thread_state, has_chunks() ? row()->thread_chunk : 256, &chunk);
    read_calls();
    check_calls(0);
    child_check(!calls.doubtful, "%s", "code objects need to be tested");
}

/* 3.11 and 3.12: the evaluator may have linked its _PyCFrame, and not yet filled it. */
static struct python_place beginning_at(const char *stack_pointer, const char *cfa)
{
    return (struct python_place){.thread = (char *)thread_state,
                                 .stack_pointer = (uintptr_t)stack_pointer,
                                 .beginning = true,
                                 .evaluator = (uintptr_t)cfa};
}

static char begun[4096] __attribute__((aligned(8))); /* the C frame of one that begins */

static void link_begun(const void *frame)
{
    link_calls();
    make_cframe(begun + 8, frame, evaluators[0]);
    put(thread_state, row()->thread_frame, begun + 8);
}

/* It has not filled its _PyCFrame, which leads to no frame: the calls are those of the next evaluator
 * outwards. */
TEST_BY(for_each_version, an_evaluator_begins)
{
    struct python_place place = beginning_at(begun, begun + 64);
    start();
    if (!has_cframes())
        return;
    const void *unfilled[] = {NULL, guarded_end(), begun + 100, begun + 1024};
    memset(begun, 0x5a, sizeof begun);
    for (size_t i = 0; i < LENGTH_OF(unfilled); i++) {
        link_begun(unfilled[i]);
        python_frames_read(&calls, &place);
        check_calls(0);
        child_check(calls.doubtful, "%s", "code objects need to be tested");
    }
    make_cframe(begun + 8, NULL, guarded_end());
    python_frames_read(&calls, &place);
    child_check(calls.count == 0 && calls.cut, "%u", calls.count);
}

/* It has filled it, and inlines a call by the same code. */
TEST_BY(for_each_version, an_evaluator_goes_on)
{
    struct python_place place = beginning_at(begun, begun + 64);
    start();
    if (!has_cframes())
        return;
    link_begun(chunk.frames[0]);
    make_cframe(evaluators[0], NULL, NULL);
    for (int known = 1; known >= 0; known--) {
        place.evaluator = known ? (uintptr_t)begun + 64 : 0;
        python_frames_read(&calls, &place);
        child_check(calls.count == 3 && !calls.cut, "%u", calls.count);
        child_check(calls.doubtful, "%s", "code objects need to be tested");
    }
}

/* It has not linked it: what is linked is complete. */
TEST_BY(for_each_version, an_evaluator_has_not_begun)
{
    struct python_place place = beginning_at(begun, begun + 64);
    start();
    link_calls();
    python_frames_read(&calls, &place);
    check_calls(0);
    child_check(!calls.doubtful, "%s", "nothing is in doubt");
}
