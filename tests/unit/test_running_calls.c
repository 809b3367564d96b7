/* test_running_calls.c - what is written down of calls that run when trampolines are switched on, and
 * what perf sees of the file. */
#include "preload/profile/running_calls.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "interpreter/detour.h"
#include "support/made_frames.h"
#include "trampoline/base/mapping.h"

static struct {
    void *previous;
    size_t size, top; /* _PyStackChunk */
    char frames[4][FRAME];
} chunk;
static char evaluators[3][FRAME], cframes[2][FRAME]; /* in C frames of evaluators */
static _Alignas(16) char only_interpreter[8192];
static python_object *codes[3];

static void *only(void)
{
    return only_interpreter;
}

/* Its evaluator is of no interest. */
static void set_no_evaluator(void *interpreter_state, python_evaluator function)
{
    (void)interpreter_state, (void)function;
}

/* This thread is the only one of the only interpreter, and runs nothing. */
static void start(void)
{
    start_profile(version.major, version.minor, PROFILE_MAP);
    python.PyInterpreterState_Head = only;
    python._PyInterpreterState_SetEvalFrameFunc = set_no_evaluator;
    put(only_interpreter, row()->interpreter_next, NULL);
    put(only_interpreter, row()->interpreter_threads, thread_state);
    put(thread_state, row()->thread_next, NULL);
    put(thread_state, row()->thread_id, (void *)pthread_self());
    if (version.major == 3 && version.minor >= 12)
        put(thread_state, row()->thread_interpreter, PyInterpreterState_Get());
    put(thread_state, row()->thread_frame, NULL);
    chunk.size = sizeof chunk;
    if (row()->thread_chunk != 0)
        put(thread_state, row()->thread_chunk, &chunk);
    codes[0] = new_code("app.py", "main", "main", 1);
    codes[1] = new_code("app.py", "run", "run", 5);
    codes[2] = new_code("app.py", "step", "step", 9);
}

/* Runs the first `count` codes, each in an evaluator of its own, but for the last: from 3.11 on it is
 * inlined into the one before. */
static void run_codes(int count)
{
    bool inlines = row()->thread_chunk != 0, marks = inlines && row()->frame_is_entry == 0;
    const void *back = NULL;
    for (int i = 0; i < count; i++) {
        bool begins = i < 2 || !inlines;
        if (begins && marks) {
            make_c_frame(evaluators[i], back);
            back = evaluators[i];
        }
        make_frame(chunk.frames[i], codes[i], 2, back);
        if (row()->frame_is_entry != 0)
            chunk.frames[i][row()->frame_is_entry] = begins;
        back = chunk.frames[i];
    }
    const void *linked = back;
    if (row()->cframe_previous != 0) { /* each has that of the evaluator around it */
        make_cframe(cframes[0], count > 0 ? chunk.frames[0] : NULL, NULL);
        make_cframe(cframes[1], back, cframes[0]);
        linked = cframes[count > 1];
    }
    put(thread_state, row()->thread_frame, linked);
}

static const char *content(void)
{
    static char text[65536];
    const char *path = first_file("*.calls");
    FILE *file = fopen(path, "rb");
    child_check(file != NULL, "%s", path);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    while (length > 0 && text[length - 1] != '\0')
        length--;
    return text + length;
}

static void check_snapshot(unsigned number, int count)
{
    static const char *const names[] = {"py::main:app.py", "py::run:app.py", "py::step:app.py"};
    char expected[512];
    int length = snprintf(expected, sizeof expected, "snapshot %u\nthread %ld\n", number,
                          syscall(SYS_gettid));
    for (int i = 0; i < count; i++)
        length += snprintf(expected + length, sizeof expected - (size_t)length, "%c %s\n",
                           i == 2 && row()->thread_chunk != 0 ? '+' : '=', names[i]);
    strcat(expected, "done\n");
    child_check(strstr(content(), expected) != NULL, "%u.%u: not\n%sbut\n%s", version.major,
                version.minor, expected, content());
}

/* The offset at which the file is mapped, in pages; -1: it is not. */
static long mapped_at(void)
{
    char line[4096];
    unsigned long offset;
    FILE *maps = fopen("/proc/self/maps", "r");
    long found = -1;
    while (fgets(line, sizeof line, maps) != NULL)
        if (strstr(line, ".calls") != NULL && sscanf(line, "%*s r-xp %lx", &offset) == 1)
            found = (long)(offset / 4096);
    fclose(maps);
    return found;
}

TEST_BY(for_each_version, written)
{
    int descriptors = count_descriptors();
    start();
    run_codes(3);
    errno = EXFULL;
    profile_begin_running_calls();
    child_check(errno == EXFULL, "%s", "errno");
    child_check(count_files("*.calls") == 1 && mapped_at() == 0, "%ld", mapped_at());
    char head[128];
    snprintf(head, sizeof head, "process %d\nevaluator %lx %lx ", (int)getpid(),
             (unsigned long)python.evaluator,
             (unsigned long)(python.evaluator + python.evaluator_size));
    child_check(strncmp(content(), head, strlen(head)) == 0, "%s", content());
    check_snapshot(0, 3);
    run_codes(2);
    profile_look_at_running_calls();
    child_check(mapped_at() == 1, "%ld", mapped_at());
    check_snapshot(1, 2);
    run_codes(1);
    switch_to(PROFILE_OFF);
    child_check(mapped_at() == -1, "%ld", mapped_at());
    check_snapshot(2, 1);
    child_check(count_descriptors() == descriptors, "%s", "a descriptor is left");
    child_check(*reports() == '\0', "%s", reports());
}

/* A switch by the program itself, and one when nothing runs, writes nothing. */
TEST_BY(for_each_version, not_written)
{
    start();
    run_codes(0);
    profile_begin_running_calls();
    child_check(count_files("*.calls") == 0 && mapped_at() == -1, "%s", "there is a file");
    switch_to(PROFILE_OFF);
    profile_begin_running_calls(); /* it is off */
    switch_to(PROFILE_MAP);
    profile_look_at_running_calls();
    child_check(count_files("*.calls") == 0, "%s", "there is a file");
}

/* The last ones are kept; one that was removed, or cannot be written, harms nobody. */
TEST_BY(for_each_version, again_and_again)
{
    start();
    run_codes(2);
    for (int i = 0; i < 20; i++) {
        switch_to(PROFILE_MAP);
        profile_begin_running_calls();
        child_check(mapped_at() == 0, "%d: %ld", i, mapped_at());
        if (i == 19)
            remove_files("*.calls");
        switch_to(PROFILE_OFF);
        child_check(mapped_at() == -1, "%d: %ld", i, mapped_at());
    }
    child_check(count_files("*.calls") == 0, "%d", count_files("*.calls"));
    for (int i = 0; i < 20; i++) {
        switch_to(PROFILE_JITDUMP);
        profile_begin_running_calls();
        switch_to(PROFILE_OFF);
    }
    child_check(count_files("*.calls") == 16, "%d", count_files("*.calls"));
}

/* The file is the parent's, and perf is told when the child is switched off. */
TEST_BY(for_each_version, forked)
{
    int status;
    start();
    run_codes(2);
    profile_begin_running_calls();
    pid_t child = fork();
    if (child == 0) {
        run_codes(1);
        profile_look_at_running_calls();
        child_check(mapped_at() == 0, "%ld", mapped_at());
        switch_to(PROFILE_OFF);
        child_check(mapped_at() == -1, "%ld", mapped_at());
        _exit(0);
    }
    child_check(waitpid(child, &status, 0) == child && status == 0, "%#x", status);
    child_check(strstr(content(), "snapshot 1") == NULL, "%s", content());
    switch_to(PROFILE_OFF);
    check_snapshot(1, 2);
}

TEST_BY(for_each_version, without_descriptors)
{
    start();
    run_codes(2);
    use_up_descriptors();
    profile_begin_running_calls();
    give_descriptors_back();
    child_check(count_files("*.calls") == 0 && mapped_at() == -1, "%s", "there is a file");
    profile_begin_running_calls();
    use_up_descriptors();
    profile_look_at_running_calls();
    switch_to(PROFILE_OFF);
    give_descriptors_back();
    child_check(mapped_at() == -1, "%ld", mapped_at());
    check_snapshot(0, 2);
    child_skip_with_threads(); /* the jump is not taken away without a descriptor then */
    child_check(*reports() == '\0', "%s", reports());
}

/* A snapshot that is too long for the limit leaves no part of itself. */
TEST_BY(for_each_version, without_room)
{
    start();
    run_codes(2);
    profile_begin_running_calls();
    struct stat status;
    struct rlimit before, limit;
    child_check(stat(first_file("*.calls"), &status) == 0, "%s", strerror(errno));
    child_check(getrlimit(RLIMIT_FSIZE, &before) == 0, "%s", strerror(errno));
    limit = before;
    limit.rlim_cur = (rlim_t)status.st_size + 10;
    setrlimit(RLIMIT_FSIZE, &limit); /* also for the files of Check */
    profile_look_at_running_calls();
    setrlimit(RLIMIT_FSIZE, &before);
    child_check(mapped_at() == 0, "%ld", mapped_at());
    child_check(strstr(content(), "snapshot 1") == NULL, "%s", content());
    run_codes(1);
    switch_to(PROFILE_OFF);
    check_snapshot(1, 1);
    child_check(*reports() == '\0', "%s", reports());
}
