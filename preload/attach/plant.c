#include "preload/attach/plant.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "preload/attach/planting.h"
#include "preload/attach/signals.h"
#include "trampoline/base/clock.h"

enum {
    LOOK = 500000,            /* ns between looks whether it is served */
    STOP_PATIENCE = 50000000, /* ns for all threads that run to stop */
};
#define LOADING_PATIENCE ((uint64_t)60000000000) /* ns for the library, once it is being loaded */

enum progress { AGAIN, READY, FAILED };

/* in the borrowed thread */

static enum progress map_blob(struct planting *planting, struct remote *remote, struct refusal *why)
{
    int64_t result;
    const uint64_t arguments[6] = {0,
                                   planting_size(planting),
                                   PROT_READ | PROT_WRITE,
                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                                   (uint64_t)-1,
                                   0};
    if (!remote_call(remote, SYS_mmap, arguments, &result))
        return AGAIN;
    if (result < 0) {
        refuse(why, "process %d: %llu KiB of memory cannot be mapped there: %s",
               planting->target->pid, (unsigned long long)planting_size(planting) >> 10,
               strerror((int)-result));
        return FAILED;
    }
    planting->base = (uint64_t)result;
    return READY;
}

static bool write_all(const struct planting *planting)
{
    const struct plant_request *request = planting->request;
    return target_write(planting->target, planting->base, planting->u.bytes,
                        sizeof planting->u.bytes) &&
           (request->content == NULL || target_write(planting->target, planting->base + BLOB_SIZE,
                                                     request->content, request->content_size));
}

static enum progress make_executable(struct planting *planting, struct remote *remote,
                                     struct refusal *why)
{
    int64_t result;
    const uint64_t arguments[6] = {planting->base + BLOB_CODE, BLOB_STACK - BLOB_CODE,
                                   PROT_READ | PROT_EXEC};
    if (!planting->written && !write_all(planting)) {
        refuse(why, "process %d: its memory cannot be written: %s", planting->target->pid,
               strerror(errno));
        return FAILED;
    }
    planting->written = true;
    if (!remote_call(remote, SYS_mprotect, arguments, &result))
        return AGAIN;
    if (result != 0) {
        refuse(why,
               "process %d: memory there cannot be made executable: %s: a security policy "
               "(SELinux execmem, a systemd unit's MemoryDenyWriteExecute) forbids it",
               planting->target->pid, strerror((int)-result));
        return FAILED;
    }
    planting->executable = true;
    return READY;
}

/* All but the code, which is not writable any more. */
static bool write_slots(const struct planting *planting)
{
    return target_write(planting->target, planting->base, planting->u.bytes, BLOB_CODE);
}

/* A signal may have come in the middle: what the blob says, once its routine may have run, is not
 * written over. */
static bool has_begun(const struct planting *planting)
{
    uint32_t changed = 0;
    target_read(planting->target, planting->base + BLOB_CHANGED, &changed, sizeof changed);
    return changed != 0 || planting_is_reachable(planting);
}

static enum progress run_plant(struct planting *planting, struct remote *remote)
{
    uint64_t routine = planting->base + attach_blob_plant;
    return remote_run(remote, routine, SYS_getpid) || has_begun(planting) ? READY : AGAIN;
}

/* An interpreter that ends would be written to after it has been freed. So if there are several, no
 * thread runs from the look at their list to the writing. */
static enum progress set_pointers(struct planting *planting, struct remote *remote,
                                  struct refusal *why)
{
    static struct threads threads;
    if (!planting_fill_slots(planting, why))
        return FAILED;
    size_t several = planting->u.blob.count > 1;
    threads.count = threads.asleep = 0;
    if (several && !threads_stop_running(&threads, planting->target->pid, remote->traced.thread,
                                         clock_now() + STOP_PATIENCE)) {
        threads_release(&threads);
        refuse(why, "process %d: not all of its threads stop", planting->target->pid);
        return AGAIN;
    }
    enum progress progress = FAILED;
    if ((!several || planting_fill_slots(planting, why)) && write_slots(planting))
        progress = run_plant(planting, remote);
    size_t count = threads.count, asleep = threads.asleep;
    threads_release(&threads);
    planting_note_stop(planting, remote->since, count + 1, asleep);
    return progress;
}

static enum progress in_thread(struct planting *planting, struct remote *remote,
                               struct refusal *why)
{
    enum progress progress = READY;
    if (planting->base == 0)
        progress = map_blob(planting, remote, why);
    if (progress == READY && !planting->executable)
        progress = make_executable(planting, remote, why);
    if (progress == READY)
        progress = set_pointers(planting, remote, why);
    return progress;
}

/* the procedure */

static bool reach(struct planting *planting, uint64_t deadline, struct refusal *why)
{
    static struct remote remote;
    enum progress progress = AGAIN;
    for (int i = 0; progress == AGAIN; i++) {
        enum remote_choice choice = remote_choice_of(i, planting->place->major);
        if (i > 0 && signals_interrupt(REMOTE_TRY_AGAIN))
            return refuse(why, "interrupted: nothing has been changed in process %d",
                          planting->target->pid);
        if (remote_borrow(&remote, planting->target, &planting->gadgets, choice, why)) {
            progress = in_thread(planting, &remote, why);
            remote_return(&remote);
            planting_note_stop(planting, remote.since, 1, 0);
        } else if (errno == EPERM || clock_now() > deadline) {
            progress = FAILED;
        }
    }
    return progress == READY;
}

/* Waits until it is served, patience is over, or a signal comes. */
static bool wait_for_service(struct planting *planting, uint64_t deadline, struct refusal *why)
{
    uint64_t since = clock_now();
    for (;;) {
        uint32_t state;
        if (!target_read(planting->target, planting->base + BLOB_STATE, &state, sizeof state)) {
            planting->base = 0;
            return refuse(why, "process %d has ended, or has started another program",
                          planting->target->pid);
        }
        planting->figures->served = clock_now() - since;
        if (state == BLOB_DONE || state == BLOB_FAILED)
            return true;
        bool signalled = signals_interrupt(LOOK);
        if (state == BLOB_RUNNING && clock_now() < deadline + LOADING_PATIENCE)
            continue; /* it cannot be called off */
        if (state == BLOB_RUNNING)
            return refuse(why,
                          "process %d: libpyperf has been loading for long and has not come "
                          "back; look at its threads with gdb",
                          planting->target->pid);
        if (signalled)
            return refuse(why, "interrupted: everything has been taken back in process %d",
                          planting->target->pid);
        if (clock_now() > deadline && planting->request->request.action == ATTACH_OFF) {
            planting->stays = true;
            return refuse(why,
                          "process %d called no Python function for %.0f s: as soon as it does, it "
                          "is switched off",
                          planting->target->pid, (double)planting->request->patience / 1e9);
        }
        if (clock_now() > deadline)
            return refuse(why,
                          "process %d called no Python function for %.0f s: everything has been "
                          "taken back; try again when it works",
                          planting->target->pid, (double)planting->request->patience / 1e9);
    }
}

static bool read_answer(struct planting *planting, struct refusal *why)
{
    static union {
        struct attach_blob blob;
        uint8_t bytes[BLOB_CODE];
    } u;
    struct attach_request answer;
    if (!target_read(planting->target, planting->base, &u, sizeof u))
        return refuse(why, "process %d has ended", planting->target->pid);
    memcpy(&answer, u.bytes + BLOB_REQUEST, sizeof answer);
    answer.said[sizeof answer.said - 1] = '\0';
    u.blob.error[sizeof u.blob.error - 1] = '\0';
    memcpy(planting->figures->said, answer.said, sizeof answer.said);
    if (u.blob.state == BLOB_FAILED && u.blob.no_memory != 0)
        return refuse(why,
                      "process %d: libpyperf cannot be put into a file in its memory "
                      "(memfd_create): %s",
                      planting->target->pid, strerror((int)u.blob.no_memory));
    if (u.blob.state == BLOB_FAILED)
        return refuse(why, "process %d cannot load libpyperf: %s", planting->target->pid,
                      u.blob.error);
    if (answer.answer == ATTACH_DONE)
        return true;
    if (answer.answer == ATTACH_REFUSED)
        return refuse(why, "process %d: %s", planting->target->pid, answer.said);
    return refuse(why, "process %d: libpyperf has not answered (step %u)", planting->target->pid,
                  u.blob.step);
}

/* Waits until an earlier request has been served; returns the blob's state. */
static uint32_t wait_until_served(const struct planting *planting, uint64_t patience)
{
    uint64_t deadline = clock_now() + patience;
    uint32_t state = BLOB_RUNNING;
    while (state == BLOB_RUNNING && clock_now() < deadline && !signals_interrupt(LOOK))
        if (!target_read(planting->target, planting->base + BLOB_STATE, &state, sizeof state))
            break;
    return state;
}

/* A child of the process has a copy of the parent's, of which no more is needed than that no pointer of
 * its own leads there. */
static bool clean_one(struct planting *planting, uint32_t own_pid, uint64_t patience,
                      struct refusal *why)
{
    if (!planting_read(planting))
        return refuse(
            why,
            "process %d: a pyperf-attach of another version was killed at its work there: "
            "restart the process",
            planting->target->pid);
    if (planting->u.blob.process != own_pid && !planting_is_reachable(planting))
        return true;
    uint32_t state = BLOB_DONE;
    if (planting->u.blob.process == own_pid)
        state = wait_until_served(planting, patience);
    if (planting_remove(planting, why))
        return true;
    if ((state != BLOB_DONE && state != BLOB_FAILED) || planting_is_reachable(planting))
        return false;
    why->line[0] = '\0'; /* it is of no use any more, and harms nobody */
    return true;
}

bool plant_clean(struct target *target, const struct python_place *place, uint32_t own_pid,
                 uint64_t patience, struct plant_figures *figures, bool *found, struct refusal *why)
{
    static struct planting planting;
    uint64_t base = 0;
    *found = false;
    while ((base = planting_find_earlier(target, base)) != 0) {
        planting =
            (struct planting){.target = target, .place = place, .figures = figures, .base = base};
        *found = true;
        if (!remote_gadgets(target, &planting.gadgets, why) ||
            !clean_one(&planting, own_pid, patience, why))
            return false;
    }
    return true;
}

bool plant(struct target *target, const struct python_place *place,
           const struct plant_request *request, struct plant_figures *figures, struct refusal *why)
{
    static struct planting planting;
    struct refusal second = {""};
    uint64_t deadline = clock_now() + request->patience;
    memset(&planting, 0, sizeof planting);
    memset(figures, 0, sizeof *figures);
    planting.target = target;
    planting.place = place;
    planting.request = request;
    planting.figures = figures;
    if (!remote_gadgets(target, &planting.gadgets, why) || !planting_fill(&planting, why))
        return false;
    bool done = reach(&planting, deadline, why) && wait_for_service(&planting, deadline, why);
    done = done && read_answer(&planting, why);
    if (planting.base != 0 && !planting.stays && !planting_remove(&planting, &second) && done)
        return refuse(why, "%s", second.line);
    return done;
}
