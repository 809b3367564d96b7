/* test_waiting_stacks.c - what threads wait for, in which function of Python, and looks that are given
 * up. */
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>

#include "preload/sampler/sample.h"
#include "support/waited.h"

/* Python: 3.8, whose frames are objects, and whose lock is one of the interpreter's variables. */

static volatile uint32_t lock; /* of the interpreter */

static void wait_for_the_lock(struct thread *thread)
{
    wait_at(thread, &lock);
    __asm__ volatile("");
}

static struct {
    _Alignas(16) char interpreter[256], state[256], frames[2][256];
} made;

static void put(void *object, size_t offset, const void *pointer)
{
    memcpy((char *)object + offset, &pointer, sizeof pointer);
}

/* A thread that is in outer(), which has called inner(). */
static void make_state(const struct thread *thread)
{
    const struct layout *row = &interpreter.row;
    const char *const names[] = {"inner", "outer"};
    put(made.interpreter, row->interpreter_threads, made.state);
    put(made.state, row->thread_interpreter, made.interpreter);
    put(made.state, row->thread_id, (void *)(uintptr_t)thread->id);
    put(made.state, row->thread_frame, made.frames[0]);
    for (int i = 0; i < 2; i++)
        put(made.frames[i], row->frame_code, new_code("app.py", names[i], names[i], 1));
    put(made.frames[0], row->frame_back, made.frames[1]);
    first_interpreter = made.interpreter;
}

static void check_names(uint32_t frame)
{
    for (int i = 0; i < 2; i++) {
        const struct sample_python *call = record_at(frame);
        child_check((call->head & 255) == SAMPLE_PYTHON, "%#x", call->head);
        const struct sample_code *code = record_at(call->code);
        child_check(memcmp(code + 1, i == 0 ? "inner" : "outer", 5) == 0, "%d: %.5s", i,
                    (const char *)(code + 1));
        frame = call->parent;
    }
}

TEST_IN_CHILD(a_thread_that_waits_for_the_lock)
{
    struct thread *thread = begin(0, wait_for_the_lock), *other = begin(1, wait_for_the_lock);
    begin_to_look();
    make_state(thread);
    struct span first = look();
    look_often(3);
    struct span last = look();
    finish();
    const struct seen *one = seen_of(thread->number);
    check_stack(thread);
    check_names(one->frame);
    check_weight(one->waits, first, last, 0);
    child_check(one->flags == (SAMPLE_WAITS | SAMPLE_WAITS_FOR_LOCK), "%#x", one->flags);
    /* Not a thread of the interpreter. */
    child_check(seen_of(other->number)->flags == SAMPLE_WAITS, "%#x",
                seen_of(other->number)->flags);
}

TEST_IN_CHILD(a_thread_that_waits_with_the_lock)
{
    struct thread *thread = begin(0, wait_for_the_lock);
    begin_to_look();
    make_state(thread);
    _PyThreadState_Current = made.state;
    waiting_look();
    look_often(3);
    finish();
    const struct seen *one = seen_of(thread->number);
    check_names(one->frame);
    child_check(one->flags == (SAMPLE_WAITS | SAMPLE_HAS_LOCK), "%#x", one->flags);
}

TEST_IN_CHILD(a_thread_that_waits_for_something_else)
{
    struct thread *thread = begin(0, sleep_here);
    begin_to_look();
    make_state(thread);
    waiting_look();
    look_often(3);
    finish();
    check_names(seen_of(thread->number)->frame);
    child_check(seen_of(thread->number)->flags == SAMPLE_WAITS, "%#x",
                seen_of(thread->number)->flags);
}

/* A look that is left in the middle, at each place where the interpreter is asked for something: the
 * thread is looked at anew, and no time is lost. */
static jmp_buf outside;
static int until_it_jumps;

static int initialized(void)
{
    if (until_it_jumps > 0 && --until_it_jumps == 0)
        longjmp(outside, 1);
    return 1;
}

TEST_IN_CHILD(looks_that_are_given_up)
{
    struct thread *thread = begin(0, wait_here);
    volatile int given_up = 0, places = 1;
    begin_to_look();
    make_state(thread);
    python.Py_IsInitialized = initialized;
    struct span first = look();
    for (bool whole = false; !whole; places++) {
        sample_forget(); /* stacks are to be found anew */
        until_it_jumps = places;
        if (setjmp(outside) == 0) {
            waiting_look();
            whole = until_it_jumps > 0;
        } else {
            waiting_give_up();
            sample_give_up();
            given_up++;
        }
        pause_for(PERIOD);
    }
    until_it_jumps = 0;
    waiting_look();
    look_often(3);
    struct span last = look();
    finish();
    child_check(given_up >= 2, "%d", given_up);
    check_weight(seen_of(thread->number)->waits, first, last, 0);
    check_stack(thread);
    check_names(seen_of(thread->number)->frame);
}

/* Stacks that mean something else now. */
TEST_IN_CHILD(stacks_that_are_not_valid_any_more)
{
    struct thread *thread = begin(0, wait_here);
    begin_to_look();
    struct span first = look(), last = first;
    for (int i = 0; i < 5; i++) {
        look_often(3);
        sample_forget();
        last = look();
    }
    finish();
    check_weight(seen_of(thread->number)->waits, first, last, 0);
    check_stack(thread);
}

/* All of it in a real watcher, which also meets memory that is gone. */
static bool begin_in_watcher(uint32_t process)
{
    return waiting_begin(process, PERIOD);
}

static void look_in_watcher(void)
{
    watched_look();
    if (sample_file_is_watched())
        waiting_look();
}

static void give_up_in_watcher(void)
{
    waiting_give_up();
    sample_give_up();
    watched->gave_up++;
}

static const struct watcher_task task = {PERIOD, begin_in_watcher, look_in_watcher,
                                         give_up_in_watcher, waiting_end};

TEST_IN_CHILD(through_a_watcher)
{
    struct failure why = {.what = ""};
    if (under_address_sanitizer())
        child_skip("a watcher under a sanitizer", ENOTSUP);
    struct thread *thread = begin(0, wait_for_the_lock), *other = begin(1, sleep_here);
    watched_prepare();
    start();
    make_state(thread);
    uint64_t began = clock_now();
    if (!watcher_start(&task, &why))
        child_skip("watcher", why.sys_errno);
    AWAIT(watched->looks >= 2);
    struct span first = {began, clock_now()};
    AWAIT_LOOKS(10);
    python.PyInterpreterState_Head = (void *(*)(void))8; /* no code is there */
    sample_forget();
    AWAIT(watched->gave_up >= 3);
    python.PyInterpreterState_Head = head;
    AWAIT_LOOKS(10);
    watcher_stop();
    struct span last = {watched->last, clock_now()};
    finish();
    child_check(reader.header->flags == (SAMPLE_WHOLE | SAMPLE_WATCHED), "%#x",
                reader.header->flags);
    check_weight(seen_of(thread->number)->waits, first, last, 0);
    check_weight(seen_of(other->number)->waits, first, last, 0);
    check_names(seen_of(thread->number)->frame);
    check_stack(other);
}

/* The program is killed: the watcher stores the time that is not stored yet. */
static void wait_to_be_killed(void)
{
    struct failure why = {.what = ""};
    start();
    child_check(watcher_start(&task, &why), "%s", strerror(why.sys_errno));
    threads[0].number = (uint32_t)getpid();
    wait_here(&threads[0]);
}

TEST_IN_CHILD(a_program_that_is_killed)
{
    if (under_address_sanitizer())
        child_skip("a watcher under a sanitizer", ENOTSUP);
    watched_prepare();
    child_check(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0, "%s", strerror(errno));
    pid_t program = fork();
    if (program == 0)
        wait_to_be_killed();
    AWAIT(watched->looks >= 1 || has_ended((uint32_t)program));
    AWAIT(process_state((uint32_t)program) == 'S');
    AWAIT_LOOKS(2);
    struct span first = {0, clock_now()};
    AWAIT_LOOKS(50);
    uint64_t last = watched->last;
    kill(program, SIGKILL);
    child_check(waitpid(program, NULL, 0) == program, "%s", strerror(errno));
    child_check(waitpid(-1, NULL, __WALL) > 0, "%s", strerror(errno)); /* its watcher */
    sample_open(&reader, sample_path(0));
    sample_read(&reader, visit, NULL);
    uint64_t waited = (seen_of((uint32_t)program)->waits + 1) * PERIOD;
    child_check(waited >= last - first.high, "%lu ns, not %lu", waited, last - first.high);
}
