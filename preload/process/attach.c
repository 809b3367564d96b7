#include "preload/process/attach.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "arch_thread.h"
#include "preload/cpython/python.h"
#include "preload/cpython/qualnames.h"
#include "preload/process/backend.h"
#include "preload/process/dlopen_libpython.h"
#include "preload/process/lifecycle.h"
#include "preload/profile/profile.h"
#include "preload/sampler/sampler.h"
#include "trampoline/base/debug.h"
#include "trampoline/base/libc_functions.h"
#include "trampoline/base/report.h"
#include "trampoline/base/version.h"

#define VISIBLE __attribute__((visibility("default")))

static struct attach_mailbox mailbox;

/* Without a constructor's work, and so without any in a process that is not Python. */
extern const struct attachable pyperf_attachable;
VISIBLE const struct attachable pyperf_attachable = {.magic = ATTACH_MAGIC,
                                                     .format = ATTACH_FORMAT,
                                                     .size = sizeof pyperf_attachable,
                                                     .version = libpyperf_version,
                                                     .sampling = &sampler_on,
                                                     .mode = &profile_mode_now,
                                                     .mailbox = &mailbox};

/* Where the files of the last request are: the sampler and the registry keep a pointer to it. */
static char directory[sizeof((struct attach_request *)NULL)->directory];
static char images[sizeof directory];

static bool is_off(struct failure *why)
{
    if (sampler_is_on())
        return failure_set(why, FAILURE_ON, 0, "the sampler");
    if (profile_mode() != PROFILE_OFF)
        return failure_set(why, FAILURE_ON, 0, "trampolines, for perf");
    return true;
}

static bool sample(const struct attach_request *request, struct failure *why)
{
    struct sampler_wish wish;
    if (!sampler_read_wish(request->sampler, &wish))
        return failure_set(why, FAILURE_SAMPLER_VALUE, 0, "\"%s\" is not understood",
                           request->sampler);
    if (!is_off(why))
        return false;
    memcpy(directory, request->directory, sizeof directory);
    sampler_prepare(&wish, directory);
    if (backend_switch(BACKEND_SAMPLER, why))
        return true;
    lifecycle_prepare_sampler();
    return false;
}

static bool use_trampolines(const struct attach_request *request, struct failure *why)
{
    memcpy(images, request->directory, sizeof images);
    if (!lifecycle_join_with_detour(images, why))
        return false;
    /* Before 3.11, names of functions that exist already; without it they are less complete. */
    if (!qualnames_prepare())
        python.PyErr_Clear();
    if (!backend_switch(request->action == ATTACH_MAP ? BACKEND_MAP : BACKEND_JITDUMP, why))
        return false;
    profile_begin_running_calls();
    return true;
}

static bool profile(const struct attach_request *request, struct failure *why)
{
    python_object *type, *value, *trace;
    if (!is_off(why))
        return false;
    python.PyErr_Fetch(&type, &value, &trace);
    bool done = use_trampolines(request, why);
    python.PyErr_Restore(type, value, trace);
    return done;
}

/* An interpreter that is unknown has nothing on. */
static bool switch_off(struct failure *why)
{
    bool sampled = sampler_is_on();
    if (backend_is_active() && !backend_switch(BACKEND_OFF, why))
        return false;
    if (sampled)
        lifecycle_prepare_sampler();
    return true;
}

static bool serve(const struct attach_request *request, const void *const arguments[2],
                  struct failure *why)
{
    const void *evaluator = (const void *)(uintptr_t)request->evaluator;
    if (!arch_thread_is_fixed() && !libc_is_musl())
        return failure_set(why, FAILURE_THREADS, 0, "glibc.rtld.optional_static_tls");
    if (request->action == ATTACH_OFF)
        return switch_off(why);
    if (request->action == ATTACH_CALLS) {
        profile_look_at_running_calls();
        return true;
    }
    dlopen_libpython_found();
    if (!lifecycle_join(evaluator, arguments, why))
        return false;
    return request->action == ATTACH_SAMPLE ? sample(request, why) : profile(request, why);
}

static bool is_sound(const struct attach_request *request)
{
    return request->format == ATTACH_FORMAT && request->size == sizeof *request &&
           request->action <= ATTACH_CALLS &&
           memchr(request->sampler, '\0', sizeof request->sampler) != NULL &&
           memchr(request->directory, '\0', sizeof request->directory) != NULL;
}

static void answer(struct attach_request *request, bool done, const struct failure *why)
{
    if (!done)
        report_failure("refused", why);
    report_kept(request->said, sizeof request->said);
    request->answer = done ? ATTACH_DONE : ATTACH_REFUSED;
}

VISIBLE void pyperf_attach(struct attach_request *request, void *first, void *second)
{
    int saved = errno;
    struct failure why = {.code = FAILURE_NONE};
    if (!is_sound(request)) {
        request->answer = ATTACH_REFUSED;
        return;
    }
    report_keep();
    const void *const arguments[] = {first, second};
    answer(request, serve(request, arguments, &why), &why);
    errno = saved;
}

VISIBLE void *PyInit__pyperf_attach(void)
{
    __atomic_add_fetch(&mailbox.begun, 1, __ATOMIC_RELEASE);
    if (mailbox.request.format == ATTACH_FORMAT && mailbox.request.answer == ATTACH_UNANSWERED)
        pyperf_attach(&mailbox.request, NULL, NULL);
    __atomic_add_fetch(&mailbox.ended, 1, __ATOMIC_RELEASE);
    return NULL;
}
