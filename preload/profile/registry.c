#include "preload/profile/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "arch.h"
#include "preload/cpython/interned.h"
#include "preload/cpython/names.h"
#include "trampoline/base/hash.h"
#include "trampoline/base/id_table.h"
#include "trampoline/base/report.h"
#include "trampoline/image_cleanup.h"

enum {
    NO_IMAGE = UINT8_MAX,
    JITDUMP_SPACING = 16,   /* trampolines: 256 bytes; code, salt and unwind data are below 200 */
    SPACE_LEFT = 128 << 20, /* bytes */
};

_Static_assert((uint64_t)REGISTRY_IMAGES *IMAGE_TRAMPOLINES <= ID_TABLE_LIMIT, "ids do not fit");

/* Something that could not be had. It is tried again, but not for each new function. */
struct outage {
    bool now;
    time_t since; /* seconds, CLOCK_MONOTONIC */
};

static struct registry {
    const char *directory;
    const struct detour_plan *detour;
    struct image_entry {
        struct image *image;
        struct registry_function *functions;
        enum profile_mode mode;
    } images[REGISTRY_IMAGES];
    uint8_t image_count;
    uint8_t first;                  /* image of this process: the others are its parent's */
    uint8_t current[PROFILE_MODES]; /* the image that takes functions, or NO_IMAGE */
    struct id_table table;
    struct outage functions[PROFILE_MODES]; /* new ones get no trampoline */
    struct failure cause[PROFILE_MODES];
    struct outage files; /* images are anonymous */
} registry = {.current = {NO_IMAGE, NO_IMAGE, NO_IMAGE}};

static uint32_t make_id(uint32_t image, uint32_t number)
{
    return image * IMAGE_TRAMPOLINES + number;
}

static const struct image_entry *entry_of(uint32_t id)
{
    return &registry.images[id / IMAGE_TRAMPOLINES];
}

uintptr_t registry_address(uint32_t id)
{
    return image_trampoline(entry_of(id)->image, id % IMAGE_TRAMPOLINES);
}

const struct registry_function *registry_function(uint32_t id)
{
    return &entry_of(id)->functions[id % IMAGE_TRAMPOLINES];
}

uint32_t registry_at(uintptr_t address)
{
    for (uint32_t i = 0; i < registry.image_count; i++) {
        int32_t number = image_trampoline_at(registry.images[i].image, address);
        if (number >= 0)
            return make_id(i, (uint32_t)number);
    }
    return REGISTRY_NONE;
}

uint32_t registry_next(enum profile_mode mode, uint32_t id)
{
    uint32_t image = id == REGISTRY_NONE ? registry.first : id / IMAGE_TRAMPOLINES;
    uint32_t number = id == REGISTRY_NONE ? 0 : id % IMAGE_TRAMPOLINES + 1;
    for (; image < registry.image_count; image++, number = 0)
        if (registry.images[image].mode == mode &&
            number < image_used(registry.images[image].image))
            return make_id(image, number);
    return REGISTRY_NONE;
}

/* The last name that was put together: a new function's is asked for by its image and its map. */
static struct {
    struct registry_function of;
    struct name name;
} last;

static const struct name *name_of(const struct registry_function *function)
{
    if (last.of.qualname == function->qualname && last.of.file == function->file)
        return &last.name;
    const char *qualname = interned(function->qualname), *file = interned(function->file);
    last.of = *function;
    name_clear(&last.name);
    name_put_bytes(&last.name, "py::", 4);
    name_put_bytes(&last.name, qualname, strlen(qualname));
    name_put_bytes(&last.name, ":", 1);
    name_put_bytes(&last.name, file, strlen(file));
    return &last.name;
}

const struct name *registry_name(uint32_t id)
{
    return name_of(registry_function(id));
}

static time_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return time.tv_sec;
}

/* Whether it was tried within the last second. */
static bool is_recent(const struct outage *outage)
{
    return outage->now && now() - outage->since <= 1;
}

/* Returns whether it is a new one. */
static bool begin_outage(struct outage *outage)
{
    bool is_new = !outage->now;
    *outage = (struct outage){true, now()};
    return is_new;
}

/* Where addresses are limited they are the program's: what is left for it must be a multiple of what
 * an image takes. */
static bool leaves_space(struct failure *why)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return true;
    char text[32] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, text, sizeof text - 1) < 0)
            text[0] = '\0';
        close(fd);
    }
    uint64_t used = strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (used != 0 && used + SPACE_LEFT <= limit.rlim_cur)
        return true;
    return failure_set(why, FAILURE_MEMORY, 0,
                       "less than %d MiB of address space are left (ulimit)", SPACE_LEFT >> 20);
}

static uint32_t spacing_of(enum profile_mode mode)
{
    return mode == PROFILE_JITDUMP ? JITDUMP_SPACING : 1;
}

/* With a file, or without where that cannot be had. */
static struct image *make_image(enum profile_mode mode, struct failure *why)
{
    struct failure lost;
    struct image *image =
        image_create(registry.directory, spacing_of(mode), registry.detour, &lost);
    if (image != NULL) {
        registry.files.now = false;
        return image;
    }
    bool is_new = begin_outage(&registry.files);
    image = image_create_anonymous(spacing_of(mode), registry.detour, why);
    if (image != NULL && is_new)
        report_failure("no trampoline image, so stacks end at the first Python function and "
                       "its name needs /tmp/perf-PID.map",
                       &lost);
    return image;
}

static size_t functions_size(enum profile_mode mode)
{
    return IMAGE_TRAMPOLINES / spacing_of(mode) * sizeof(struct registry_function);
}

static bool enter_image(struct image *image, enum profile_mode mode, struct failure *why)
{
    void *functions = mmap(NULL, functions_size(mode), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (functions == MAP_FAILED)
        return failure_set(why, FAILURE_MEMORY, errno, "table of functions");
    registry.current[mode] = registry.image_count;
    registry.images[registry.image_count] = (struct image_entry){image, functions, mode};
    __atomic_store_n(&registry.image_count, registry.image_count + 1, __ATOMIC_RELEASE);
    return true;
}

/* The next image of the mode. */
static bool add_image(enum profile_mode mode, struct failure *why)
{
    if (registry.image_count == REGISTRY_IMAGES)
        return failure_set(why, FAILURE_FULL, 0, "%d images are full", REGISTRY_IMAGES);
    if (!leaves_space(why))
        return false;
    struct image *image = make_image(mode, why);
    if (image == NULL)
        return false;
    if (enter_image(image, mode, why))
        return true;
    image_discard(image);
    return false;
}

void registry_start(const char *directory, const struct detour_plan *detour)
{
    registry.directory = directory;
    registry.detour = detour;
}

bool registry_prepare(enum profile_mode mode, bool *made, struct failure *why)
{
    *made = registry.current[mode] == NO_IMAGE;
    if (!*made)
        return true;
    if (!add_image(mode, why))
        return false;
    /* Not in forked children, which have their parent's. */
    if (registry.image_count == 1 && registry.directory == image_shared_directory)
        image_cleanup(registry.directory, time(NULL));
    return true;
}

void registry_discard(enum profile_mode mode)
{
    struct image_entry *entry = &registry.images[--registry.image_count];
    image_discard(entry->image);
    munmap(entry->functions, functions_size(mode));
    registry.current[mode] = NO_IMAGE;
}

struct key {
    enum profile_mode mode;
    const struct registry_function *function;
};

static uint32_t hash(const struct registry_function *function, enum profile_mode mode)
{
    uint64_t hash = hash_mix(mode, (uint64_t)function->qualname << 32 | function->file);
    return hash_end(hash_mix(hash, function->line));
}

static uint32_t hash_of(uint32_t id)
{
    return hash(registry_function(id), entry_of(id)->mode);
}

static bool is(uint32_t id, const void *key)
{
    const struct key *wanted = key;
    const struct registry_function *function = registry_function(id);
    return function->qualname == wanted->function->qualname &&
           function->file == wanted->function->file && function->line == wanted->function->line &&
           entry_of(id)->mode == wanted->mode;
}

/* The image has no file because none could be made; maybe now one can. */
static void return_to_files(enum profile_mode mode)
{
    struct failure why;
    if (image_path(registry.images[registry.current[mode]].image) != NULL ||
        is_recent(&registry.files) || registry.image_count == REGISTRY_IMAGES ||
        !leaves_space(&why))
        return;
    struct image *image = image_create(registry.directory, spacing_of(mode), registry.detour, &why);
    if (image == NULL)
        begin_outage(&registry.files);
    else if (!enter_image(image, mode, &why))
        image_discard(image);
    else
        registry.files.now = false;
}

/* Whether another image would not help either, or need not be had because this one will do later. */
static bool is_transient(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR ||
           error == EAGAIN;
}

/* Gives the function the next trampoline. */
static uint32_t append(enum profile_mode mode, const struct registry_function *function,
                       struct failure *why)
{
    bool made;
    if (!registry_prepare(mode, &made, why))
        return REGISTRY_NONE;
    return_to_files(mode);
    const struct name *name = name_of(function);
    int error = 0;
    for (int attempt = 0; attempt < 2; attempt++) {
        uint8_t current = registry.current[mode];
        const struct image_entry *entry = &registry.images[current];
        uint32_t number = image_used(entry->image);
        error = image_append(entry->image, name->text, name->length);
        if (error == 0) {
            entry->functions[number] = *function;
            return make_id(current, number);
        }
        if (is_transient(error))
            break;
        if (!add_image(mode, why)) /* it is full, its disk is, or its file is gone */
            return REGISTRY_NONE;
    }
    failure_set(why, FAILURE_IMAGE_FILE, error, "the image does not grow");
    return REGISTRY_NONE;
}

static uint32_t add(enum profile_mode mode, const struct registry_function *function,
                    struct failure *why)
{
    const struct key key = {mode, function};
    uint32_t value = hash(function, mode);
    if (!id_table_reserve(&registry.table, hash_of)) {
        failure_set(why, FAILURE_MEMORY, errno, "table of functions");
        return REGISTRY_NONE;
    }
    uint32_t *entry = id_table_find(&registry.table, value, is, &key);
    if (*entry != 0)
        return id_table_number(*entry);
    if (is_recent(&registry.functions[mode])) {
        *why = registry.cause[mode];
        return REGISTRY_NONE;
    }
    uint32_t id = append(mode, function, why);
    if (id != REGISTRY_NONE) {
        id_table_fill(&registry.table, entry, value, id);
        registry.functions[mode].now = false;
    }
    return id;
}

uint32_t registry_add(enum profile_mode mode, const struct registry_function *function,
                      struct failure *why)
{
    uint32_t id = add(mode, function, why);
    if (id == REGISTRY_NONE && !is_recent(&registry.functions[mode])) {
        registry.cause[mode] = *why;
        if (begin_outage(&registry.functions[mode]))
            report_failure(registry.table.used == 0 ? "the functions of this process have no names"
                                                    : "further functions have no names",
                           why);
    }
    return id;
}

void registry_forked(void)
{
    for (uint32_t i = 0; i < registry.image_count; i++)
        image_freeze(registry.images[i].image);
    memset(registry.current, NO_IMAGE, sizeof registry.current);
    registry.first = registry.image_count;
    memset(registry.functions, 0, sizeof registry.functions);
    registry.files.now = false;
    id_table_clear(&registry.table);
}
