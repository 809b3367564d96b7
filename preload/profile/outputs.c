#include "preload/profile/outputs.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "arch.h"
#include "arch_thread.h"
#include "jitdump/jitdump.h"
#include "jitdump/perf_map.h"
#include "preload/cpython/names.h"
#include "preload/profile/registry.h"
#include "trampoline/base/fork_watch.h"
#include "trampoline/base/lock.h"
#include "trampoline/base/report.h"

/* perf looks nowhere else: Linux, tools/perf/util/dso.c for the map, jitdump.c for the dump. */
#define FILES_DIRECTORY "/tmp"

static struct outputs {
    struct lock map_lock;
    struct perf_map map;
    struct jitdump dump;
    bool spares; /* lines that have a symbol in an image */
    bool keeps;  /* a child's map begins with our lines */
    char parent_map[sizeof((struct perf_map *)NULL)->path]; /* where they are read from */
    uint32_t written[PROFILE_MODES];                        /* the last id that is in the file */
    bool failing[PROFILE_MODES];                            /* and that was reported */
} outputs = {
    .map_lock = LOCK_INITIALIZER,
    .written = {REGISTRY_NONE, REGISTRY_NONE, REGISTRY_NONE},
};

/* A child that was made without fork handlers has its parent's files, and maybe a lock that another
 * thread held. */
static void lock_map(void)
{
    if (fork_watch_is_child(FORK_WATCH_OUTPUTS))
        outputs_forked();
    lock_take(&outputs.map_lock);
}

/* Under the map's lock. */
static int open_map(void)
{
    int error = 0;
    if (!outputs.map.open) {
        error = perf_map_open(&outputs.map, FILES_DIRECTORY, getpid());
        outputs.written[PROFILE_MAP] = REGISTRY_NONE;
        fork_watch_seen(FORK_WATCH_OUTPUTS);
    }
    if (error == 0 && outputs.parent_map[0] != '\0') {
        error = perf_map_copy(&outputs.map, outputs.parent_map);
        outputs.parent_map[0] = '\0';
    }
    return error;
}

int outputs_map_open(void)
{
    lock_map();
    int error = open_map();
    lock_release(&outputs.map_lock);
    return error;
}

int outputs_map_line(uintptr_t address, size_t size, const char *name, size_t length)
{
    lock_map();
    int error = open_map();
    if (error == 0)
        error = perf_map_append(&outputs.map, address, size, name, length);
    lock_release(&outputs.map_lock);
    return error;
}

int outputs_map_copy(const char *path)
{
    lock_map();
    int error = open_map();
    if (error == 0)
        error = perf_map_copy(&outputs.map, path);
    lock_release(&outputs.map_lock);
    return error;
}

void outputs_spare_lines(void)
{
    outputs.spares = true;
}

void outputs_keep_after_fork(bool keep)
{
    outputs.keeps = keep;
}

static int open_dump(void)
{
    if (outputs.dump.open)
        return 0;
    outputs.written[PROFILE_JITDUMP] = REGISTRY_NONE;
    fork_watch_seen(FORK_WATCH_OUTPUTS);
    return jitdump_open(&outputs.dump, FILES_DIRECTORY, getpid(), ARCH_ELF_MACHINE);
}

static int write_dump(uint32_t id, const struct name *name)
{
    uint8_t unwind[IMAGE_TRAMPOLINE_UNWIND_MAX];
    struct jitdump_function function = {
        .address = registry_address(id),
        .code = (const void *)registry_address(id),
        .code_size = ARCH_TRAMPOLINE_SIZE,
        .name = name->text,
        .name_length = name->length,
        .unwind = unwind,
    };
    function.unwind_size = image_trampoline_unwind(unwind, ARCH_TRAMPOLINE_SIZE + JITDUMP_SALT_SIZE,
                                                   &function.unwind_header_size);
    return jitdump_append(&outputs.dump, &function);
}

/* Writes what the mode's file lacks. After ESTALE, when the file was removed or replaced, a new one
 * gets all of it. */
static int catch_up(enum profile_mode mode)
{
    bool is_map = mode == PROFILE_MAP, spares = is_map && outputs.spares;
    int error = spares ? 0 : is_map ? open_map() : open_dump();
    uint32_t next;
    while (error == 0 && (next = registry_next(mode, outputs.written[mode])) != REGISTRY_NONE) {
        if (spares && registry_has_symbol(next)) {
            outputs.written[mode] = next;
            continue;
        }
        if (spares && !outputs.map.open) {
            error = open_map(); /* which begins from the first function again */
            continue;
        }
        const struct name *name = registry_name(next);
        error = is_map ? perf_map_append(&outputs.map, registry_address(next), ARCH_TRAMPOLINE_SIZE,
                                         name->text, name->length)
                       : write_dump(next, name);
        if (error == 0)
            outputs.written[mode] = next;
    }
    return error;
}

static void update(enum profile_mode mode)
{
    bool is_map = mode == PROFILE_MAP;
    int error = catch_up(mode);
    if (error == ESTALE)
        error = catch_up(mode);
    if (error != 0 && !outputs.failing[mode])
        report("cannot write %s: %s; until it can be written, names are only in the trampoline "
               "images",
               is_map ? outputs.map.path : outputs.dump.path, strerrordesc_np(error));
    outputs.failing[mode] = error != 0;
}

void outputs_update(enum profile_mode mode)
{
    if (mode != PROFILE_MAP) {
        update(mode);
        return;
    }
    lock_map();
    update(mode);
    lock_release(&outputs.map_lock);
}

/* Waits only for a limited time: a signal handler that forks or exits may have interrupted the
 * thread that holds it. */
static bool lock_briefly(void)
{
    return lock_take_within(&outputs.map_lock, 2000000);
}

/* This thread holds the lock during a fork. */
ARCH_THREAD_VARIABLE(bool, held)

void outputs_before_fork(void)
{
    *held_here() = lock_briefly();
}

void outputs_after_fork(void)
{
    if (*held_here())
        lock_release(&outputs.map_lock);
    *held_here() = false;
}

void outputs_forked(void)
{
    *held_here() = false;
    lock_reset(&outputs.map_lock);
    fork_watch_seen(FORK_WATCH_OUTPUTS);
    if (outputs.keeps && outputs.map.open)
        memcpy(outputs.parent_map, outputs.map.path, sizeof outputs.parent_map);
    perf_map_abandon(&outputs.map);
    jitdump_abandon(&outputs.dump);
    for (int i = 0; i < PROFILE_MODES; i++) {
        outputs.written[i] = REGISTRY_NONE;
        outputs.failing[i] = false;
    }
}

void outputs_finish(void)
{
    if (fork_watch_is_child(FORK_WATCH_OUTPUTS) || !lock_briefly())
        return; /* in a child: the parent still uses the file */
    perf_map_finish(&outputs.map);
    lock_release(&outputs.map_lock);
}
