/* test_profile_shared.c - profiling in several interpreters with a lock each, and in processes that
 * were forked in any way and at any moment. */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "interpreter/detour.h"
#include "preload/profile/outputs.h"
#include "trampoline/hook.h"

static python_object *code_named(const char *name)
{
    return new_code("app.py", name, name, 7);
}

static python_object *numbered(const char *name, int number)
{
    char text[64];
    snprintf(text, sizeof text, "%s_%d", name, number);
    return code_named(text);
}

/* Checks that the files hold each function of this process once; returns their number. */
static size_t check_files(enum profile_mode mode)
{
    static uint32_t ids[20000];
    size_t count = 0;
    for (uint32_t id = REGISTRY_NONE; (id = registry_next(mode, id)) != REGISTRY_NONE;)
        ids[count++] = id;
    if (mode == PROFILE_MAP)
        check_map(getpid(), "", ids, count);
    else
        check_dump(getpid(), ids, count);
    return count;
}

static long milliseconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

/* interpreters */

/* A sanitizer uses much of a thread's stack, of which 3.12 profiles little. */
static void start_with_own_locks(void)
{
    static struct layout row;
    start_profile(3, 12, PROFILE_MAP);
    row = *python.layout;
    row.profiled_stack = 0;
    python.layout = &row;
}

enum { INTERPRETERS = 3, FUNCTIONS = 300 };
static python_object *codes[INTERPRETERS][FUNCTIONS];
static struct state *states[INTERPRETERS];

static void *register_functions(void *number)
{
    intptr_t i = (intptr_t)number;
    char name[32];
    snprintf(name, sizeof name, "in_%d", (int)i);
    interpreter_enter(states[i]);
    for (int j = 0; j < FUNCTIONS; j++) {
        codes[i][j] = numbered(name, j);
        run_code(codes[i][j], NULL);
    }
    return interpreter_leave();
}

/* A function that could not have the lock is named in its next call. */
static void run_again(struct state *state, intptr_t i)
{
    interpreter_leave();
    interpreter_enter(state);
    for (int j = 0; j < FUNCTIONS; j++) {
        char name[32];
        snprintf(name, sizeof name, "in_%d_%d", (int)i, j);
        child_check(strcmp(name_run(codes[i][j]), name) == 0, "%s", name_run(codes[i][j]));
    }
}

/* One interpreter switches while the others register functions. */
TEST_IN_CHILD(interpreters_with_own_locks)
{
    pthread_t threads[INTERPRETERS];
    start_with_own_locks();
    for (int i = 0; i < INTERPRETERS; i++)
        states[i] = interpreter_new(true);
    for (intptr_t i = 0; i < INTERPRETERS; i++)
        pthread_create(&threads[i], NULL, register_functions, (void *)i);
    for (int i = 0; i < 60; i++) {
        struct failure why = {.code = FAILURE_NONE};
        bool done = profile_switch(i % 2 == 0 ? PROFILE_JITDUMP : PROFILE_MAP, &why);
        child_check(done || why.code == FAILURE_BUSY, "%s: %s", failure_message(why.code),
                    why.what);
        run_code(numbered("in_main", i), NULL);
    }
    for (int i = 0; i < INTERPRETERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < INTERPRETERS; i++)
        run_again(states[i], i);
    switch_to(PROFILE_JITDUMP);
    for (int i = 0; i < INTERPRETERS; i++)
        run_again(states[i], i);
    child_check(count_images(getpid()) == 2, "%d images", count_images(getpid()));
    check_files(PROFILE_MAP);
    check_files(PROFILE_JITDUMP);
    child_check(*reports() == '\0', "%s", reports());
}

static sem_t *opening, *may_go_on;

static void wait_for_the_test(void)
{
    when_map_opens = NULL;
    sem_post(opening);
    sem_wait(may_go_on);
}

static void make_semaphores(void)
{
    static sem_t semaphores[2];
    opening = &semaphores[0];
    may_go_on = &semaphores[1];
    sem_init(opening, 0, 0);
    sem_init(may_go_on, 0, 0);
}

static void *register_one(void *state)
{
    interpreter_enter(state);
    run_code(code_named("holder"), NULL);
    return interpreter_leave();
}

/* Another interpreter holds the lock, in the middle of opening the map. */
static pthread_t start_holder(void)
{
    pthread_t thread;
    make_semaphores();
    remove_files("perf-*.map"); /* so that it is opened again */
    usleep(100);
    when_map_opens = wait_for_the_test;
    pthread_create(&thread, NULL, register_one, interpreter_new(true));
    sem_wait(opening);
    return thread;
}

static void end_holder(pthread_t thread)
{
    sem_post(may_go_on);
    pthread_join(thread, NULL);
}

/* A frame does not wait long for the lock: it runs without its name, and has it the next time. */
TEST_IN_CHILD(lock_of_another)
{
    struct failure why = {.code = FAILURE_NONE};
    start_with_own_locks();
    python_object *known = code_named("known"), *new = code_named("new");
    run(known);
    pthread_t thread = start_holder();
    long before = milliseconds();
    child_check(run(new) == REGISTRY_NONE, "%s", "another thread's lock was taken");
    child_check(milliseconds() - before < 200, "%ld ms", milliseconds() - before);
    child_check(strcmp(name_run(known), "known") == 0, "%s", name_run(known));
    child_check(!profile_switch(PROFILE_JITDUMP, &why), "%s", "another thread's lock was taken");
    child_check(why.code == FAILURE_BUSY && profile_mode() == PROFILE_MAP, "%d", why.code);
    child_check(!profile_switch(PROFILE_OFF, &why) && why.code == FAILURE_BUSY, "%d", why.code);
    end_holder(thread);
    child_check(strcmp(name_run(new), "new") == 0, "%s", name_run(new));
    switch_to(PROFILE_JITDUMP);
    check_files(PROFILE_MAP);
}

/* processes */

static python_object *before_fork[20];

static void register_before(void)
{
    for (int i = 0; i < 20; i++)
        run(before_fork[i] = numbered("before", i));
}

/* In a child, however it was made: files are its own, and names are right. */
static void live_as_child(void)
{
    for (int i = 0; i < 20; i++) {
        char name[32];
        snprintf(name, sizeof name, "before_%d", i);
        run(numbered("child", i));
        child_check(strcmp(name_run(before_fork[i]), name) == 0, "%s: %s", name,
                    name_run(before_fork[i]));
    }
    child_check(check_files(PROFILE_MAP) == 40, "%zu", check_files(PROFILE_MAP));
    child_check(count_images(getpid()) == 1, "%d images", count_images(getpid()));
    child_check(profile_mode() == PROFILE_MAP, "%d", profile_mode());
    outputs_finish();
}

/* The parent goes on, with as many functions as it had and 20 more. */
static void check_parent(size_t count)
{
    static int number;
    for (int i = 0; i < 20; i++)
        run(numbered("parent", number++));
    child_check(check_files(PROFILE_MAP) == count + 20, "%zu", check_files(PROFILE_MAP));
    child_check(*reports() == '\0', "%s", reports());
}

static void wait_for(pid_t pid)
{
    int status;
    child_check(waitpid(pid, &status, 0) == pid && status == 0, "status %#x", status);
}

TEST_IN_CHILD(forked)
{
    start_profile(3, 8, PROFILE_MAP);
    register_before();
    pid_t pid = fork();
    if (pid == 0) {
        live_as_child();
        pid = fork(); /* and once more */
        if (pid == 0) {
            run(code_named("grandchild"));
            child_check(check_files(PROFILE_MAP) == 1, "%zu", check_files(PROFILE_MAP));
            _exit(0);
        }
        wait_for(pid);
        _exit(0);
    }
    wait_for(pid);
    check_parent(20);
    child_check(count_images(getpid()) == 1, "%d images", count_images(getpid()));
}

/* Each generation has its own tag: otherwise a value from before the fork would count as a
 * trampoline. */
TEST_IN_CHILD(tags_of_generations)
{
    static uint64_t tags[8];
    start_profile(3, 8, PROFILE_MAP);
    for (int generation = 0; generation < 8; generation++) {
        tags[generation] = hook_state.tag;
        for (int i = 0; i < generation; i++)
            child_check(tags[i] != tags[generation], "%d and %d", i, generation);
        pid_t pid = fork();
        if (pid != 0) {
            wait_for(pid);
            return;
        }
    }
}

/* Forked by the system call alone, so that both could fill the same trampolines. */
TEST_IN_CHILD(made_by_the_system_call)
{
    start_profile(3, 8, PROFILE_MAP);
    register_before();
    assert_in_raw_child(live_as_child);
    check_parent(20);
    assert_in_raw_child(outputs_finish); /* a child that only ends */
    check_parent(40);
    child_check(count_images(getpid()) == 1, "%d images", count_images(getpid()));
}

static void switch_in_child(void)
{
    struct failure why;
    child_check(profile_switch(PROFILE_JITDUMP, &why), "%s", why.what);
    child_check(run(code_named("child")) != REGISTRY_NONE, "%d", profile_mode());
    child_check(check_files(PROFILE_JITDUMP) == 1, "%d", maps_opened);
}

TEST_IN_CHILD(switched_by_such_a_child)
{
    start_profile(3, 8, PROFILE_MAP);
    register_before();
    switch_to(PROFILE_JITDUMP);
    run(code_named("in_dump"));
    assert_in_raw_child(switch_in_child);
    run(code_named("more"));
    child_check(check_files(PROFILE_JITDUMP) == 2, "%d", dumps_opened);
    switch_to(PROFILE_MAP);
    check_parent(20);
}

/* Another thread held the lock, and does not exist in the child. */
static void have_names_all_the_same(void)
{
    struct failure why;
    long start = milliseconds();
    for (int i = 0; i < 20; i++)
        child_check(run(numbered("child", i)) != REGISTRY_NONE, "function %d", i);
    child_check(milliseconds() - start < 1000, "%ld ms", milliseconds() - start);
    child_check(profile_switch(PROFILE_JITDUMP, &why), "%s", failure_message(why.code));
    child_check(strcmp(name_run(code_named("then")), "then") == 0, "%d", profile_mode());
    check_files(PROFILE_JITDUMP);
}

static void clone_while_the_lock_is_held(void)
{
    start_with_own_locks();
    run(code_named("before"));
    pthread_t thread = start_holder();
    assert_in_raw_child(have_names_all_the_same);
    pid_t pid = fork();
    if (pid == 0) {
        have_names_all_the_same();
        _exit(0);
    }
    wait_for(pid);
    end_holder(thread);
    run(code_named("after"));
    check_files(PROFILE_MAP);
}

TEST(lock_of_an_absent_thread)
{
#ifdef __SANITIZE_THREAD__
    skip("ThreadSanitizer", "it takes a re-initialised lock for held");
    return;
#endif
    assert_in_child(clone_while_the_lock_is_held);
}

/* A signal handler forks while the interrupted thread is in libpyperf. */
static int forks_by_handler;

static void fork_in_handler(int number)
{
    (void)number;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    forks_by_handler += waitpid(pid, NULL, 0) == pid;
}

static void raise_signal(void)
{
    raise(SIGUSR1);
}

TEST_IN_CHILD(forked_in_a_handler)
{
    start_profile(3, 8, PROFILE_MAP);
    signal(SIGUSR1, fork_in_handler);
    register_before();
    remove_files("perf-*.map");
    usleep(100);
    when_map_opens = raise_signal;
    child_check(strcmp(name_run(code_named("f")), "f") == 0, "%s", name_run(code_named("f")));
    when_map_opens = NULL;
    child_check(forks_by_handler == 1, "%d", forks_by_handler);
    check_parent(21);
}

/* A thread of the program's C code forks, without any interpreter's lock, while others register
 * functions. Its child does not use the interpreter, but the registry must be consistent. */
static bool forking;

static void check_whole(int number)
{
    for (uint32_t i = 0; i < 50; i++) {
        uint32_t id = add_function(PROFILE_MAP, i);
        child_check(id != REGISTRY_NONE, "child %d: %s", number, why_not.what);
        child_check(registry_at(registry_address(id)) == id && registry_function(id)->line == i,
                    "child %d: %u", number, id);
        child_check(add_function(PROFILE_MAP, i) == id, "child %d: %u", number, id);
    }
}

static void *fork_without_a_lock(void *unused)
{
    for (int i = 0; i < 60; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            check_whole(i);
            _exit(0);
        }
        wait_for(pid);
    }
    __atomic_store_n(&forking, false, __ATOMIC_RELAXED);
    return unused;
}

static void fork_among_others(void)
{
    static python_object *all[15000];
    pthread_t thread;
    int count = 0;
    start_profile(3, 8, PROFILE_MAP);
    forking = true;
    pthread_create(&thread, NULL, fork_without_a_lock, NULL);
    while (__atomic_load_n(&forking, __ATOMIC_RELAXED) && count < 15000)
        run(all[count] = numbered("f", count)), count++;
    pthread_join(thread, NULL);
    for (int i = 0; i < count; i++) /* also functions that could not have the lock */
        child_check(run(all[i]) != REGISTRY_NONE, "function %d", i);
    child_check(check_files(PROFILE_MAP) == (size_t)count, "%d", count);
    child_check(*reports() == '\0', "%s", reports());
}

TEST(forked_by_a_thread_of_c)
{
    /* A lock of AddressSanitizer's own allocator stays locked in the child. */
    if (under_address_sanitizer())
        skip("forks among threads", "AddressSanitizer");
    else if (!skip_under_valgrind())
        assert_in_child(fork_among_others);
}
