#include "preload/attach/interpreter_way.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "preload/attach/script.h"
#include "preload/attach/signals.h"
#include "trampoline/base/clock.h"

enum {
    LOOK = 2000000, /* ns between looks */
    /* ns: most programs come to a safe point by themselves sooner (safe_point_nudge) */
    NUDGE_AFTER = 200000000,
    /* ns: a thread that has just begun with the script has read it */
    BEGINNING = 100000000,
};
/* ns from the script's turn to the library's, and from then on */
#define BEGIN_PATIENCE ((uint64_t)5000000000)
#define END_PATIENCE   ((uint64_t)60000000000)

struct asking {
    const struct target *target;
    const struct safe_point *point;
    const char *refused; /* why not by ptrace */
    const struct plant_request *request;
    struct library_there library; /* looked for again while it is being loaded */
    struct script script;
    uint32_t begun, ended; /* calls of the library's function before */
    uint64_t deadline;
};

/* the library */

static bool look_for_library(struct asking *asking)
{
    struct target now = *asking->target;
    struct refusal unused;
    if (maps_read(now.pid, &now.maps))
        library_there_find(&now, &asking->library, &unused);
    maps_free(&now.maps);
    return asking->library.mailbox != 0;
}

static bool read_counts(const struct asking *asking, uint32_t counts[2])
{
    size_t at = offsetof(struct attach_mailbox, begun);
    _Static_assert(offsetof(struct attach_mailbox, ended) ==
                       offsetof(struct attach_mailbox, begun) + sizeof *counts,
                   "both are read at once");
    return target_read(asking->target, asking->library.mailbox + at, counts, 2 * sizeof *counts);
}

/* one run of the script */

enum progress { WAITING, BEGUN, SERVED, FAILED };

/* How far the script has come. */
static enum progress look(struct asking *asking, struct refusal *why)
{
    char said[300];
    uint32_t counts[2];
    int32_t word;
    if (script_said(&asking->script, said, sizeof said)) {
        refuse(why, "process %d cannot load libpyperf: %s", asking->target->pid, said);
        return FAILED;
    }
    if (!target_read(asking->target, asking->point->pending, &word, sizeof word)) {
        refuse(why, "process %d has ended, or has started another program", asking->target->pid);
        return FAILED;
    }
    bool was_there = asking->library.mailbox != 0;
    if ((!was_there && !look_for_library(asking)) || !read_counts(asking, counts)) {
        if (!was_there)
            asking->library.mailbox = 0; /* it is not relocated yet */
        return WAITING;
    }
    if (counts[1] != asking->ended)
        return SERVED;
    return !was_there || counts[0] != asking->begun ? BEGUN : WAITING;
}

/* The script has had its turn: it cannot be called off. */
static bool wait_for_end(struct asking *asking, uint64_t patience, struct refusal *why)
{
    uint64_t deadline = clock_now() + patience;
    bool begun = false;
    enum progress progress;
    while ((progress = look(asking, why)) != SERVED) {
        if (progress == FAILED || clock_now() > deadline)
            return false;
        if (progress == BEGUN && !begun)
            deadline = clock_now() + END_PATIENCE;
        begun = begun || progress == BEGUN;
        signals_interrupt(LOOK);
    }
    return true;
}

/* The thread may have begun with it at this moment. */
static bool take_back(struct asking *asking, bool interrupted, struct refusal *why)
{
    safe_point_take_back(asking->target, asking->point);
    if (wait_for_end(asking, BEGINNING, why))
        return true;
    if (why->line[0] != '\0')
        return false;
    if (interrupted)
        return refuse(why, "interrupted: everything has been taken back in process %d",
                      asking->target->pid);
    return refuse(why,
                  "%s, and its main thread ran no Python code for %.0f s, as would be needed then: "
                  "everything has been taken back; try again when it works",
                  asking->refused, (double)asking->request->patience / 1e9);
}

static bool run_script(struct asking *asking, struct refusal *why)
{
    pid_t pid = asking->target->pid;
    if (!safe_point_ask(asking->target, asking->point, asking->script.path))
        return refuse(why, "process %d: its memory cannot be written: %s", pid, strerror(errno));
    uint64_t nudge = clock_now() + NUDGE_AFTER;
    while (safe_point_is_pending(asking->target, asking->point)) {
        bool interrupted = signals_interrupt(LOOK);
        if (interrupted || clock_now() > asking->deadline)
            return take_back(asking, interrupted, why);
        if (clock_now() > nudge) {
            safe_point_nudge(asking->target, asking->point);
            nudge += NUDGE_AFTER;
        }
    }
    if (wait_for_end(asking, BEGIN_PATIENCE, why))
        return true;
    if (why->line[0] == '\0')
        refuse(why,
               "process %d: its interpreter has not run %s, or has not come back: an audit hook in "
               "it may forbid it",
               pid, asking->script.path);
    return false;
}

/* the request */

static bool write_request(struct asking *asking, struct refusal *why)
{
    uint32_t counts[2] = {0, 0};
    bool read = read_counts(asking, counts);
    asking->begun = counts[0];
    asking->ended = counts[1];
    return (read && target_write(asking->target, asking->library.mailbox, &asking->request->request,
                                 sizeof asking->request->request)) ||
           refuse(why, "process %d: its memory cannot be written: %s", asking->target->pid,
                  strerror(errno));
}

static bool read_answer(const struct asking *asking, struct plant_figures *figures,
                        struct refusal *why)
{
    struct attach_request answer;
    pid_t pid = asking->target->pid;
    if (!target_read(asking->target, asking->library.mailbox, &answer, sizeof answer))
        return refuse(why, "process %d has ended", pid);
    answer.said[sizeof answer.said - 1] = '\0';
    memcpy(figures->said, answer.said, sizeof answer.said);
    if (answer.answer == ATTACH_DONE)
        return true;
    return answer.answer == ATTACH_REFUSED
               ? refuse(why, "process %d: %s", pid, answer.said)
               : refuse(why, "process %d: libpyperf has not answered", pid);
}

/* A request that was not served must not be served by a later script. */
static void empty_mailbox(const struct asking *asking)
{
    static const struct attach_request none;
    target_write(asking->target, asking->library.mailbox, &none, sizeof none);
}

static bool ask(struct asking *asking, struct plant_figures *figures, struct refusal *why)
{
    uint64_t since = clock_now();
    if (asking->library.mailbox == 0 && !run_script(asking, why))
        return false;
    if (!write_request(asking, why))
        return false;
    bool done = run_script(asking, why) && read_answer(asking, figures, why);
    figures->served = clock_now() - since;
    empty_mailbox(asking);
    return done;
}

bool interpreter_way(const struct examined *examined, const struct plant_request *request,
                     struct plant_figures *figures, struct refusal *why)
{
    static struct asking asking;
    const struct library_there *library = &examined->library;
    bool loaded = library->mailbox != 0;
    asking = (struct asking){.target = &examined->target,
                             .point = &examined->point,
                             .refused = examined->refused.line,
                             .request = request,
                             .library = *library,
                             .script = {.folder = -1},
                             .deadline = clock_now() + request->patience};
    if (!script_make(&asking.script, examined->target.pid, request->request.directory,
                     loaded ? library->path : request->library, loaded, why))
        return false;
    bool done = ask(&asking, figures, why);
    script_remove(&asking.script);
    return done;
}

void interpreter_way_clean(const struct target *target, const struct safe_point *point)
{
    char path[PATH_MAX];
    if (safe_point_path(target, point, path, sizeof path) && script_remove_left(target->pid, path))
        safe_point_take_back(target, point);
}
