/* test_python_threads.c - lists of interpreters and threads of each version, made by hand: whose
 * state is whose, who has the lock, and who waits for it; lists without end, or garbage. */
#include "preload/cpython/python_threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "interpreter/interpreter.h"
#include "support/guarded.h"

enum { STATE = 512, INTERPRETER = 8192, LISTS = 3, ACTIVE = 1 << 4, INITIALIZED = 1 };

static _Alignas(16) char interpreters[LISTS][INTERPRETER];
static _Alignas(16) char states[8][STATE];
static char *first, *of_this_thread; /* what the API returns */
static int searches;

static const struct layout *row(void)
{
    return &interpreter.row;
}

static bool has_one_lock(void)
{
    return version.major == 3 && version.minor < 12;
}

static void put(void *object, size_t offset, const void *pointer)
{
    memcpy((char *)object + offset, &pointer, sizeof pointer);
}

static void *head(void)
{
    searches++;
    return first;
}

static void *this_thread(void)
{
    return of_this_thread;
}

static void *not_to_be_called(void)
{
    child_failed("%u.%u: called", version.major, version.minor);
}

static void set_current(void *state)
{
    _PyThreadState_Current = state;
}

/* A state at the end of an interpreter's list. */
static char *add_state(int interpreter_number, int n, uintptr_t thread)
{
    char *state = states[n], *list = interpreters[interpreter_number];
    memset(state, 0x5a, STATE);
    put(state, row()->thread_id, (void *)thread);
    put(state, row()->thread_interpreter, list);
    put(state, row()->thread_next, *(void **)(list + row()->interpreter_threads));
    put(list, row()->interpreter_threads, state);
    return state;
}

static uintptr_t own_record(void)
{
    return (uintptr_t)pthread_self();
}

/* Of a thread whose number nobody asks for. */
static uintptr_t nobodys_record(void)
{
    static _Alignas(64) char record[4096];
    memset(record, 0x5a, sizeof record);
    return (uintptr_t)record;
}

static uint32_t own_number(void)
{
    return (uint32_t)syscall(SYS_gettid);
}

/* Three interpreters, which have no threads yet. */
static void start(void)
{
    interpreter_start(version.major, version.minor);
    python.PyInterpreterState_Head = head;
    python.PyGILState_GetThisThreadState = row()->python_2 ? not_to_be_called : this_thread;
    if (!has_one_lock())
        python._PyThreadState_UncheckedGet = not_to_be_called;
    for (int i = 0; i < LISTS; i++) {
        memset(interpreters[i], 0x5a, INTERPRETER);
        put(interpreters[i], row()->interpreter_next, i + 1 < LISTS ? interpreters[i + 1] : NULL);
        put(interpreters[i], row()->interpreter_threads, NULL);
    }
    first = interpreters[0];
    set_current(NULL);
    python_threads_start();
}

/* Another thread, which waits for the end of the test. */
static struct other {
    pthread_t thread;
    uint32_t number;
    pthread_barrier_t begun;
    pthread_mutex_t end;
} other;

static void *wait_for_the_end(void *unused)
{
    other.number = own_number();
    pthread_barrier_wait(&other.begun);
    pthread_mutex_lock(&other.end);
    pthread_mutex_unlock(&other.end);
    return unused;
}

static void begin_other(void)
{
    pthread_barrier_init(&other.begun, NULL, 2);
    pthread_mutex_init(&other.end, NULL);
    pthread_mutex_lock(&other.end);
    child_check(pthread_create(&other.thread, NULL, wait_for_the_end, NULL) == 0, "%s", "a thread");
    pthread_barrier_wait(&other.begun);
}

static void end_other(void)
{
    pthread_mutex_unlock(&other.end);
    pthread_join(other.thread, NULL);
}

#define CHECK_STATE(expression, expected)                                                          \
    do {                                                                                           \
        char *got = expression;                                                                    \
        child_check(got == (expected), "%u.%u: %p, not %p", version.major, version.minor,          \
                    (void *)got, (void *)(expected));                                              \
    } while (0)

/* To 3.11 with the lock, in whichever interpreter; without, where the thread was, as long as that
 * state exists, or what the API says. */
TEST_BY(for_each_version, own_state)
{
    start();
    char *of_main = add_state(0, 0, own_record()), *of_second = add_state(1, 1, own_record());
    char *of_other = add_state(0, 2, nobodys_record());
    of_this_thread = of_main;
    CHECK_STATE(python_threads_own(), of_main);
    char *where_it_was = of_main;
    if (has_one_lock() || row()->python_2) {
        set_current(of_main);
        CHECK_STATE(python_threads_own(), of_main);
        set_current(of_second);
        CHECK_STATE(python_threads_own(), of_second);
        where_it_was = of_second;
    }
    set_current(of_other);
    CHECK_STATE(python_threads_own(), where_it_was);
    set_current(guarded_end()); /* freed meanwhile */
    CHECK_STATE(python_threads_own(), where_it_was);
    set_current(guarded_end() - row()->thread_id);
    CHECK_STATE(python_threads_own(), where_it_was);
    put(interpreters[1], row()->interpreter_threads, NULL); /* of_second has ended */
    CHECK_STATE(python_threads_own(), of_main);
}

TEST_BY(for_each_version, own_state_of_a_thread_that_is_not_known)
{
    start();
    of_this_thread = NULL;
    CHECK_STATE(python_threads_own(), NULL);
    set_current(add_state(0, 0, nobodys_record()));
    CHECK_STATE(python_threads_own(), NULL);
    first = NULL;
    CHECK_STATE(python_threads_own(), NULL);
}

/* 2.7: only the lists say it, and they are not to be read any more while it ends. */
TEST_BY(for_each_version, own_state_by_a_search)
{
    start();
    if (!row()->python_2)
        return;
    for (int i = 0; i < LISTS; i++) {
        for (int j = 0; j < 2; j++)
            add_state(i, 2 * i + j, nobodys_record());
        char *own = states[2 * i];
        put(own, row()->thread_id, (void *)own_record());
        CHECK_STATE(python_threads_own(), own);
        is_finalizing = true;
        CHECK_STATE(python_threads_own(), NULL);
        is_finalizing = false;
        put(own, row()->thread_id, NULL);
        CHECK_STATE(python_threads_own(), NULL);
    }
}

/* By the number that the libc has in its record of a thread. */
TEST_BY(for_each_version, states_of_threads)
{
    start();
    begin_other();
    for (int i = 0; i < LISTS; i++) {
        char *own = add_state(i, 2 * i, own_record());
        char *others = add_state(i, 2 * i + 1, (uintptr_t)other.thread);
        CHECK_STATE(python_threads_find(own_number(), NULL), own);
        CHECK_STATE(python_threads_find(other.number, NULL), others);
        CHECK_STATE(python_threads_find(other.number, own), others);
        CHECK_STATE(python_threads_find(1, NULL), NULL);
        CHECK_STATE(python_threads_find(1, others), NULL);
        put(own, row()->thread_id, NULL);
        put(others, row()->thread_id, NULL);
    }
    is_finalizing = true;
    CHECK_STATE(python_threads_find(other.number, NULL), NULL);
    end_other();
}

/* The last answer, and the thread that has the lock, are looked at first. */
TEST_BY(for_each_version, states_without_a_search)
{
    start();
    begin_other();
    char *known = add_state(0, 0, (uintptr_t)other.thread);
    char *current = add_state(1, 1, (uintptr_t)other.thread);
    CHECK_STATE(python_threads_find(other.number, known), known);
    child_check(searches == 0, "%d", searches);
    if (has_one_lock() || row()->python_2) {
        set_current(current);
        CHECK_STATE(python_threads_find(other.number, known), current);
        child_check(searches == 0, "%d", searches);
    }
    set_current(NULL);
    put(known, row()->thread_id, (void *)own_record());
    CHECK_STATE(python_threads_find(other.number, known), current);
    child_check(searches == 1, "%d", searches);
    end_other();
}

/* Threads that have ended have left their states, and the libc has freed its records. */
TEST_BY(for_each_version, records_that_are_gone)
{
    start();
    const uintptr_t end = (uintptr_t)guarded_end();
    const uintptr_t wrong[] = {0,
                               8,
                               own_record() + 4,
                               own_record() + 8,
                               end,
                               end - 8,
                               UINTPTR_MAX - 7,
                               (uintptr_t)1 << 63,
                               0x5a5a5a5a5a5a5a58};
    char *own = add_state(0, 0, own_record());
    for (size_t i = 0; i < LENGTH_OF(wrong); i++) {
        char *gone = add_state(0, 1, wrong[i]);
        put(gone, row()->thread_next, own);
        put(interpreters[0], row()->interpreter_threads, gone);
        CHECK_STATE(python_threads_find(own_number(), NULL), own);
        CHECK_STATE(python_threads_find(own_number(), gone), own);
        CHECK_STATE(python_threads_find(1, gone), NULL);
    }
}

/* Lists that are changed while they are read. */
TEST_BY(for_each_version, lists_without_end)
{
    start();
    char *own = add_state(0, 0, own_record()), *others = add_state(0, 1, nobodys_record());
    put(own, row()->thread_next, others);
    CHECK_STATE(python_threads_find(1, NULL), NULL);
    CHECK_STATE(python_threads_find(own_number(), NULL), own);
    put(own, row()->thread_next, NULL);
    put(interpreters[2], row()->interpreter_next, interpreters[1]);
    CHECK_STATE(python_threads_find(1, NULL), NULL);
    put(own, row()->thread_id, NULL);
    own = add_state(1, 2, own_record());
    CHECK_STATE(python_threads_find(own_number(), NULL), own);
}

TEST_BY(for_each_version, garbage)
{
    start();
    char *const end = (char *)guarded_end();
    char *const wrong[] = {(char *)8,
                           (char *)1,
                           end,
                           end - 8,
                           (char *)(UINTPTR_MAX - 7),
                           (char *)((uintptr_t)1 << 63),
                           states[0] + 4,
                           (char *)(uintptr_t)0x5a5a5a5a5a5a5a58};
    char *own = add_state(0, 0, own_record());
    add_state(0, 1, nobodys_record());
    of_this_thread = NULL;
    for (size_t i = 0; i < LENGTH_OF(wrong); i++) {
        put(own, row()->thread_next, wrong[i]);
        CHECK_STATE(python_threads_find(own_number(), NULL), own);
        CHECK_STATE(python_threads_find(1, NULL), NULL);
        put(own, row()->thread_next, NULL);
        put(interpreters[0], row()->interpreter_next, wrong[i]);
        CHECK_STATE(python_threads_find(own_number(), NULL), own);
        CHECK_STATE(python_threads_find(1, NULL), NULL);
        first = wrong[i];
        CHECK_STATE(python_threads_find(own_number(), NULL), NULL);
        CHECK_STATE(python_threads_own(), NULL);
        first = interpreters[0];
        put(interpreters[0], row()->interpreter_next, NULL);
        put(interpreters[1], row()->interpreter_threads, wrong[i]);
        first = interpreters[1];
        CHECK_STATE(python_threads_find(own_number(), NULL), NULL);
        first = interpreters[0];
    }
}

TEST_BY(for_each_version, who_has_the_lock)
{
    start();
    char *one = add_state(0, 0, own_record()), *another = add_state(0, 1, nobodys_record());
    if (row()->thread_status == 0) {
        child_check(!python_threads_has_lock(one), "%s", "nobody has it");
        set_current(one);
        child_check(python_threads_has_lock(one), "%s", "the current one");
        child_check(!python_threads_has_lock(another), "%s", "another one");
        return;
    }
    unsigned with = INITIALIZED | ACTIVE, without = ~(unsigned)ACTIVE;
    memcpy(one + row()->thread_status, &with, sizeof with);
    memcpy(another + row()->thread_status, &without, sizeof without);
    child_check(python_threads_has_lock(one), "%s", "the one that is active");
    child_check(!python_threads_has_lock(another), "%s", "another one");
}

/* A futex of the interpreter's lock: in its variables, or where the state's interpreter has it. */
TEST_BY(for_each_version, who_waits_for_the_lock)
{
    static int in_bss;
    static int in_data = 1;
    static const int in_rodata = 1;
    static _Alignas(8) char lock[512];
    start();
    char *state = add_state(0, 0, own_record());
    void *heap = malloc(8);
    if (row()->interpreter_gil != 0) {
        put(interpreters[0], row()->interpreter_gil, lock + 128);
        for (int i = 0; i < 512; i++)
            child_check(python_threads_is_lock(state, (uintptr_t)(lock + i)) ==
                            (i >= 128 && i < 128 + 256),
                        "%d", i);
        child_check(!python_threads_is_lock(state, (uintptr_t)&in_data), "%s", "a variable");
    } else {
        bool is = !row()->python_2; /* in 2.7 it is anywhere */
        child_check(python_threads_is_lock(state, (uintptr_t)&in_data) == is, "%s", ".data");
        child_check(python_threads_is_lock(state, (uintptr_t)&in_bss) == is, "%s", ".bss");
    }
    child_check(!python_threads_is_lock(state, (uintptr_t)&in_rodata), "%s", ".rodata");
    child_check(!python_threads_is_lock(state, (uintptr_t)start), "%s", ".text");
    child_check(!python_threads_is_lock(state, (uintptr_t)heap), "%s", "allocated memory");
    child_check(!python_threads_is_lock(state, (uintptr_t)&heap), "%s", "the stack");
    child_check(!python_threads_is_lock(state, (uintptr_t)stderr), "%s", "the libc's");
    free(heap);
}

TEST_BY(for_each_version, the_interpreters_code)
{
    start();
    child_check(python_threads_is_code(python.evaluator), "%s", "the evaluator");
    child_check(python_threads_is_code((uintptr_t)start), "%s", "a function");
    child_check(!python_threads_is_code((uintptr_t)&python), "%s", "a variable");
    child_check(!python_threads_is_code((uintptr_t)&version.major), "%s", "a variable");
    child_check(!python_threads_is_code((uintptr_t)python.layout), "%s", "a table");
    child_check(!python_threads_is_code(0), "%s", "nowhere");
}
