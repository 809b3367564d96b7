/* test_attach.c - requests to a process whose interpreter was running before libpyperf came. */
#include <stdio.h>

#include "interpreter/detour.h"
#include "interpreter/process.h"
#include "preload/process/attach.h"
#include "preload/process/lifecycle.h"
#include "preload/sampler/sampler.h"
#include "trampoline/base/clock.h"

extern const struct attachable pyperf_attachable;

static void be_running(void)
{
    process_load();
    process_run();
}

static struct attach_request request;
static const char *failing; /* a function of the API, for the next request */

static void prepare(enum attach_action action)
{
    memset(&request, 0, sizeof request);
    request.format = ATTACH_FORMAT;
    request.size = sizeof request;
    request.action = action;
    request.evaluator = (uintptr_t)process_evaluator();
    snprintf(request.sampler, sizeof request.sampler, "99");
    snprintf(request.directory, sizeof request.directory, "%s", folder);
}

/* A frame is about to run, into which an exception is thrown. */
static void serve(void)
{
    void *frame = frame_of(new_code("app.py", "main", "main", 1));
    bool second = interpreter.row.frame_argument == 1;
    raise_pending("thrown");
    interpreter.failing = failing;
    errno = EXFULL;
    pyperf_attach(&request, second ? thread_state : frame, second ? frame : NULL);
    child_check(errno == EXFULL, "%s", strerror(errno));
    child_check(pending_type() != NULL, "%s", "the exception is lost");
    PyErr_Clear();
}

static void ask(enum attach_action action, enum attach_answer expected, const char *said)
{
    prepare(action);
    serve();
    child_check(request.answer == expected, "%u.%u: action %d: answer %u, %s", version.major,
                version.minor, action, request.answer, request.said);
    child_check(strcmp(request.said, said) == 0, "action %d: said \"%s\"", action, request.said);
}

static void is_on(bool sampling, enum profile_mode mode)
{
    child_check(*pyperf_attachable.sampling == sampling && *pyperf_attachable.mode == mode,
                "sampling %d, mode %u", *pyperf_attachable.sampling, *pyperf_attachable.mode);
}

/* Searches of the loaded objects, which take the loader's lock. */
void *__real_next_symbol(const char *name);
void *__wrap_next_symbol(const char *name);
static const char *volatile searched;
static bool searched_all; /* what only libc_functions_find looks for */

void *__wrap_next_symbol(const char *name)
{
    searched = name;
    searched_all = searched_all || strcmp(name, "__fxstatat") == 0;
    return __real_next_symbol(name);
}

/* The handler makes the file, and must find all that it calls found. */
TEST_BY(for_each_version, searches_nothing_in_the_handler)
{
    be_running();
    ask(ATTACH_SAMPLE, ATTACH_DONE, "");
#ifndef PYPERF_WHOLE_LIBC /* else the loader has found them (libc_functions.c) */
    child_check(searched_all, "%s", "not all is searched for at the start");
#endif
    searched = NULL;
    uint64_t end = clock_read(CLOCK_PROCESS_CPUTIME_ID) + 100000000;
    while (clock_read(CLOCK_PROCESS_CPUTIME_ID) < end)
        ;
    child_check(count_files("*.samples") == 1, "%s", "no file");
    child_check(searched == NULL, "%s", searched);
    ask(ATTACH_OFF, ATTACH_DONE, "");
}

TEST_BY(for_each_version, sampled)
{
    be_running();
    for (int i = 1; i <= 2; i++) {
        ask(ATTACH_SAMPLE, ATTACH_DONE, "");
        is_on(true, PROFILE_OFF);
        ask(ATTACH_SAMPLE, ATTACH_REFUSED, "refused: libpyperf is on already: the sampler");
        ask(ATTACH_MAP, ATTACH_REFUSED, "refused: libpyperf is on already: the sampler");
        ask(ATTACH_OFF, ATTACH_DONE, "");
        is_on(false, PROFILE_OFF);
        ask(ATTACH_OFF, ATTACH_DONE, "");
    }
    child_check(process_text_is_own(), "%s", "the sampler needs no jump");
    child_check(PySys_GetObject("activate_stack_trampoline") == NULL, "%s", "sys has changed");
    lifecycle_finish();
    child_check(*reports() == '\0', "%s", reports());
}

/* As the interpreter calls it while it imports, with the thread's innermost frame. */
static void import(enum attach_action action, enum attach_answer expected)
{
    struct attach_mailbox *mailbox = (struct attach_mailbox *)(uintptr_t)pyperf_attachable.mailbox;
    uint32_t ended = mailbox->ended;
    prepare(action);
    mailbox->request = request;
    thread_state[interpreter.row.thread_frame / 8] =
        (uintptr_t)frame_of(new_code("app.py", "main", "main", 1));
    child_check(PyInit__pyperf_attach() == NULL && pending_type() == NULL, "%s", "a module");
    child_check(mailbox->ended == ended + 1 && mailbox->request.answer == expected,
                "%u.%u: action %d: answer %u, %s", version.major, version.minor, action,
                mailbox->request.answer, mailbox->request.said);
}

TEST_BY(for_each_version, imported)
{
    struct attach_mailbox *mailbox = (struct attach_mailbox *)(uintptr_t)pyperf_attachable.mailbox;
    if (version.major == 2 || version.minor < 13)
        return;
    be_running();
    child_check(PyInit__pyperf_attach() == NULL && mailbox->ended == 1, "%s", "without a request");
    import(ATTACH_SAMPLE, ATTACH_DONE);
    is_on(true, PROFILE_OFF);
    child_check(PyInit__pyperf_attach() == NULL && sampler_is_on(), "%s", "it was answered");
    import(ATTACH_SAMPLE, ATTACH_REFUSED);
    import(ATTACH_OFF, ATTACH_DONE);
    is_on(false, PROFILE_OFF);
    child_check(*reports() == '\0', "%s", reports());
}

static bool is_named(const char *name)
{
    return run(new_code("app.py", name, name, 1)) != REGISTRY_NONE;
}

TEST_BY(for_each_version, with_trampolines)
{
    be_running();
    ask(ATTACH_SAMPLE, ATTACH_DONE, "");
    ask(ATTACH_OFF, ATTACH_DONE, "");
    for (int i = 1; i <= 2; i++) {
        enum profile_mode mode = i == 1 ? PROFILE_MAP : PROFILE_JITDUMP;
        ask(i == 1 ? ATTACH_MAP : ATTACH_JITDUMP, ATTACH_DONE, "");
        is_on(false, mode);
        child_check(is_named("f") && is_named("g"), "%u.%u: no name", version.major, version.minor);
        ask(ATTACH_MAP, ATTACH_REFUSED, "refused: libpyperf is on already: trampolines, for perf");
        ask(ATTACH_SAMPLE, ATTACH_REFUSED,
            "refused: libpyperf is on already: trampolines, for perf");
        ask(ATTACH_OFF, ATTACH_DONE, "");
        is_on(false, PROFILE_OFF);
        child_check(process_text_is_own() && !is_named("h"), "%s", "it is on");
    }
    child_check(count_files("perf-*") == 1 && count_files("jit-*") == 1, "%s", "map, dump");
    lifecycle_finish();
    child_check(*reports() == '\0', "%s", reports());
}

/* Nothing of a request that is not understood is believed. */
TEST(requests_that_are_wrong)
{
    version = versions[VERSIONS - 1];
    be_running();
    prepare(ATTACH_SAMPLE);
    request.format++;
    serve();
    child_check(request.answer == ATTACH_REFUSED && *request.said == '\0', "%s", request.said);
    prepare(ATTACH_SAMPLE);
    request.size--;
    serve();
    child_check(request.answer == ATTACH_REFUSED && *request.said == '\0', "%s", request.said);
    prepare(ATTACH_CALLS + 1);
    serve();
    child_check(request.answer == ATTACH_REFUSED && *request.said == '\0', "%s", request.said);
    prepare(ATTACH_SAMPLE);
    memset(request.directory, 'x', sizeof request.directory);
    serve();
    child_check(request.answer == ATTACH_REFUSED && *request.said == '\0', "%s", request.said);
    prepare(ATTACH_SAMPLE);
    strcpy(request.sampler, "fast");
    serve();
    child_check(request.answer == ATTACH_REFUSED &&
                    strstr(request.said, "\"fast\" is not understood") != NULL,
                "%s", request.said);
    is_on(false, PROFILE_OFF);
    child_check(*reports() == '\0', "%s", reports());
}

TEST_BY(for_each_version, another_interpreter)
{
    be_running();
    prepare(ATTACH_SAMPLE);
    request.evaluator += 16;
    serve();
    child_check(request.answer == ATTACH_REFUSED &&
                    strstr(request.said, "there are two interpreters") != NULL,
                "%s", request.said);
    is_on(false, PROFILE_OFF);
    ask(ATTACH_SAMPLE, ATTACH_DONE, "");
    ask(ATTACH_OFF, ATTACH_DONE, "");
}

TEST_BY(for_each_version, no_memory_for_the_probe)
{
    be_running();
    failing = "PyCode_NewEmpty";
    prepare(ATTACH_SAMPLE);
    serve();
    child_check(request.answer == ATTACH_REFUSED, "%u", request.answer);
    is_on(false, PROFILE_OFF);
    child_check(process_text_is_own() && *reports() == '\0', "%s", reports());
    failing = NULL;
    ask(ATTACH_SAMPLE, ATTACH_DONE, "");
}

/* Started with libpyperf: dormant, and its interpreter has not read its switches. */
TEST_BY(for_each_version, still_starting)
{
    be_running();
    lifecycle_start();
    child_check(!process_text_is_own(), "%s", "no jump for the first frame");
    ask(ATTACH_SAMPLE, ATTACH_REFUSED,
        "refused: profiling is being switched or extended elsewhere in the process; try again: "
        "the interpreter is still starting");
    is_on(false, PROFILE_OFF);
}

int main(void)
{
    process_move_to_plan_library();
    return run_tests(NULL, NULL, TEST_SECONDS);
}
