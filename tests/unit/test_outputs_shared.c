/* test_outputs_shared.c - map and jitdump with several writers: children, and threads of the
 * program. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload/profile/outputs.h"
#include "profile/files.h"

static uint32_t ids[2000], count;
static char lines_before[32768]; /* the lines with which a child's map begins */

static void enter(uint32_t n)
{
    ids[count] = add_function(PROFILE_MAP, n);
    child_check(ids[count] != REGISTRY_NONE, "%s", why_not.what);
    count++;
    outputs_update(PROFILE_MAP);
}

static void begin(void)
{
    catch_reports();
    start_registry();
    for (uint32_t i = 0; i < 5; i++)
        enter(i);
}

static void remember_lines(void)
{
    const char *text = read_file(in_folder("perf-%d.map", (int)getpid()), NULL);
    size_t length = strlen(text);
    while (length > 1 && text[length - 2] == '\n')
        length--;
    snprintf(lines_before, sizeof lines_before, "%.*s", (int)length, text);
}

/* As the handlers of pthread_atfork do (profile.c). */
static void run_in_child(void (*body)(void))
{
    outputs_before_fork();
    pid_t pid = fork();
    if (pid == 0) {
        registry_forked();
        outputs_forked();
        count = 0;
        body();
        outputs_finish();
        _exit(0);
    }
    outputs_after_fork();
    int status;
    child_check(waitpid(pid, &status, 0) == pid && status == 0, "status %#x", status);
}

static void have_own_lines(void)
{
    child_check(access(in_folder("perf-%d.map", (int)getpid()), F_OK) != 0, "%s",
                "there is a map before the first function");
    enter(3);
    enter(1000);
    check_map(getpid(), "", ids, count);
}

TEST_IN_CHILD(child_has_its_own)
{
    begin();
    run_in_child(have_own_lines);
    enter(2000);
    check_map(getpid(), "", ids, count);
    child_check(*reports() == '\0', "%s", reports());
}

static void have_earlier_lines(void)
{
    enter(1000);
    enter(1);
    check_map(getpid(), lines_before, ids, count);
}

/* In a child that writes nothing itself. */
static void fork_at_once(void)
{
    run_in_child(have_earlier_lines);
}

TEST_IN_CHILD(child_keeps_lines)
{
    outputs_keep_after_fork(true);
    begin();
    remember_lines();
    run_in_child(have_earlier_lines);
    run_in_child(fork_at_once);
    outputs_keep_after_fork(false);
    run_in_child(have_own_lines);
    enter(2000);
    check_map(getpid(), "", ids, count);
    child_check(*reports() == '\0', "%s", reports());
}

static void go_on_with_descriptors(void)
{
    give_descriptors_back();
    have_earlier_lines();
}

/* The parent had no free descriptors; its child has. */
TEST_IN_CHILD(child_of_one_in_want)
{
    outputs_keep_after_fork(true);
    begin();
    use_up_descriptors();
    for (uint32_t i = 0; i < 20; i++)
        enter(100 + i);
    give_descriptors_back();
    remember_lines();
    use_up_descriptors();
    run_in_child(go_on_with_descriptors);
    give_descriptors_back();
    outputs_update(PROFILE_MAP);
    check_map(getpid(), "", ids, count);
    child_check(count_reports() == 1, "%s", reports());
}

static void end_without_a_line(void)
{
    outputs_finish();
}

static void write_a_line(void)
{
    if (outputs_map_line(0x99, 1, "child's", 7) != 0)
        _exit(1);
    check_map(getpid(), "99 1 child's\n", NULL, 0);
}

TEST_IN_CHILD(children_of_the_system_call)
{
    size_t before, after;
    begin();
    read_file(in_folder("perf-%d.map", (int)getpid()), &before);
    assert_in_raw_child(end_without_a_line);
    read_file(in_folder("perf-%d.map", (int)getpid()), &after);
    child_check(before == after, "%zu, %zu", before, after);
    assert_in_raw_child(write_a_line);
    for (uint32_t i = 0; i < 100; i++)
        enter(100 + i);
    check_map(getpid(), "", ids, count);
}

enum { THREADS = 4, LINES = 3000 };

static void *write_lines(void *thread)
{
    for (int i = 0; i < LINES; i++) {
        char name[64];
        int length = snprintf(name, sizeof name, "thread %d line %d", (int)(intptr_t)thread, i);
        if (outputs_map_line((uintptr_t)i, 1, name, (size_t)length) != 0)
            abort();
    }
    return NULL;
}

/* Every line is complete, and each writer's lines are in order. */
static void check_lines(const char *text)
{
    int next[THREADS] = {0}, thread, number, length;
    uint32_t function = 0;
    for (const char *line = text; *line != '\0' && *line != '\n'; line = strchr(line, '\n') + 1) {
        length = 0;
        if (sscanf(line, "%*x 1 thread %d line %d%n", &thread, &number, &length) == 2 &&
            line[length] == '\n') {
            child_check(thread >= 0 && thread < THREADS && next[thread] == number, "%.80s", line);
            next[thread]++;
            continue;
        }
        child_check(function < count, "%.80s", line);
        const char *name = strstr(line, "py::"), *wanted = shown_name(ids[function++]);
        child_check(name != NULL && strncmp(name, wanted, strlen(wanted)) == 0, "%.80s", line);
    }
    for (thread = 0; thread < THREADS; thread++)
        child_check(next[thread] == LINES, "%d of thread %d", next[thread], thread);
    child_check(function == count, "%u functions", function);
}

TEST_IN_CHILD(threads_of_the_program)
{
    pthread_t threads[THREADS];
    begin();
    for (intptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, write_lines, (void *)i);
    for (uint32_t i = 0; i < 1000; i++)
        enter(100 + i);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    check_lines(read_file(in_folder("perf-%d.map", (int)getpid()), NULL));
}

/* A child of a process whose threads write; no lock stays held in it. */
TEST_IN_CHILD(forks_among_threads)
{
    pthread_t threads[THREADS];
    begin();
    for (intptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, write_lines, (void *)i);
    for (int i = 0; i < 50; i++)
        run_in_child(have_own_lines);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    check_lines(read_file(in_folder("perf-%d.map", (int)getpid()), NULL));
}
