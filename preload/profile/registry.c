#include "preload/profile/registry.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "preload/cpython/interned.h"
#include "preload/cpython/names.h"
#include "trampoline/base/address_space.h"
#include "trampoline/base/hash.h"
#include "trampoline/base/id_list.h"
#include "trampoline/base/id_table.h"
#include "trampoline/base/report.h"
#include "trampoline/image_cleanup.h"
#include "trampoline/loader_lock.h"

enum {
    NO_IMAGE = UINT8_MAX,
    JITDUMP_SPACING = 16, /* trampolines: 256 bytes; code, salt and unwind data are below 200 */
};

_Static_assert((uint64_t)REGISTRY_IMAGES *IMAGE_TRAMPOLINES <= ID_TABLE_LIMIT, "ids do not fit");
_Static_assert((uint64_t)REGISTRY_IMAGES *IMAGE_TRAMPOLINES <= ID_LIST_LIMIT, "ids do not fit");

/* A resource that failed. It is tried again, but not for each new function. */
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
        enum { UNKNOWN, USABLE, UNUSABLE } inherited; /* its trampolines, if it is before `first` */
    } images[REGISTRY_IMAGES];
    uint8_t image_count;
    uint8_t first;                          /* image that takes functions: the others were left */
    uint8_t current[PROFILE_MODES];         /* the image that takes functions, or NO_IMAGE */
    struct id_table table;                  /* by name, file and line */
    struct id_list used;                    /* in this process, in order of registration */
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

bool registry_has_symbol(uint32_t id)
{
    return image_path(entry_of(id)->image) != NULL;
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

const char *registry_directory(void)
{
    return registry.directory;
}

uint32_t registry_next(enum profile_mode mode, uint32_t id)
{
    do
        id = id_list_next(&registry.used, id);
    while (id != REGISTRY_NONE && entry_of(id)->mode != mode);
    return id;
}

/* The last name that was put together: a new function's is used for its image and its map. */
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

static uint32_t spacing_of(enum profile_mode mode)
{
    return mode == PROFILE_JITDUMP ? JITDUMP_SPACING : 1;
}

/* Makes an image with a file; on failure NULL, reported once. */
static struct image *make_file(enum profile_mode mode)
{
    struct failure why;
    struct image *image = image_create(registry.directory, spacing_of(mode), registry.detour, &why);
    if (image != NULL)
        registry.files.now = false;
    else if (begin_outage(&registry.files))
        report_failure("no trampoline image, so stacks end at the first Python function and "
                       "its name needs /tmp/perf-PID.map",
                       &why);
    return image;
}

/* An image without a file that was used before, and is not full. */
static bool return_to_anonymous(enum profile_mode mode)
{
    for (uint8_t i = registry.first; i < registry.image_count; i++) {
        const struct image_entry *entry = &registry.images[i];
        if (entry->mode == mode && image_path(entry->image) == NULL &&
            image_used(entry->image) < IMAGE_TRAMPOLINES / spacing_of(mode)) {
            registry.current[mode] = i;
            return true;
        }
    }
    return false;
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
    registry.images[registry.image_count] = (struct image_entry){image, functions, mode, UNKNOWN};
    __atomic_store_n(&registry.image_count, registry.image_count + 1, __ATOMIC_RELEASE);
    return true;
}

/* The next image of the mode. */
static bool add_image(enum profile_mode mode, struct failure *why)
{
    if (registry.image_count == REGISTRY_IMAGES)
        return failure_set(why, FAILURE_FULL, 0, "%d images are full", REGISTRY_IMAGES);
    if (!address_space_is_left(why))
        return false;
    struct image *image = make_file(mode);
    if (image == NULL && return_to_anonymous(mode))
        return true;
    if (image == NULL)
        image = image_create(NULL, spacing_of(mode), registry.detour, why);
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
    loader_lock_find();
}

bool registry_prepare(enum profile_mode mode, bool *made, struct failure *why)
{
    *made = registry.current[mode] == NO_IMAGE;
    if (!*made)
        return true;
    if (!add_image(mode, why))
        return false;
    /* Not in forked children, which use their parent's. */
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

/* The image has no file because none could be made; maybe one can be made now. Half of all images
 * are reserved for necessary cases: a disk that is repeatedly full uses one each time. */
static void return_to_files(enum profile_mode mode)
{
    struct failure why;
    if (image_path(registry.images[registry.current[mode]].image) != NULL ||
        is_recent(&registry.files) || registry.image_count >= REGISTRY_IMAGES / 2 ||
        !address_space_is_left(&why))
        return;
    struct image *image = make_file(mode);
    if (image != NULL && !enter_image(image, mode, &why))
        image_discard(image);
}

/* Whether another image would not help either, or is not needed because this one can grow later. */
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
        if (!add_image(mode, why)) /* the image is full, its disk is full, or its file is gone */
            return REGISTRY_NONE;
    }
    failure_set(why, FAILURE_IMAGE_FILE, error, "the image does not grow");
    return REGISTRY_NONE;
}

/* A trampoline from before a fork is as good as a new one if its image can still be read by this
 * process's user. */
static bool is_usable(uint32_t id)
{
    struct image_entry *entry = &registry.images[id / IMAGE_TRAMPOLINES];
    if (id / IMAGE_TRAMPOLINES >= registry.first)
        return true;
    if (entry->inherited == UNKNOWN)
        entry->inherited = image_is_readable(entry->image) ? USABLE : UNUSABLE;
    return entry->inherited == USABLE;
}

static uint32_t use(uint32_t id, struct failure *why)
{
    if (id_list_add(&registry.used, id))
        return id;
    failure_set(why, FAILURE_MEMORY, errno, "list of functions");
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
    if (*entry != 0 && is_usable(id_table_number(*entry)))
        return use(id_table_number(*entry), why);
    if (is_recent(&registry.functions[mode])) {
        *why = registry.cause[mode];
        return REGISTRY_NONE;
    }
    uint32_t id = append(mode, function, why);
    if (id == REGISTRY_NONE)
        return id;
    id_table_fill(&registry.table, entry, value, id);
    registry.functions[mode].now = false;
    return use(id, why);
}

uint32_t registry_add(enum profile_mode mode, const struct registry_function *function,
                      struct failure *why)
{
    uint32_t id = add(mode, function, why);
    if (id == REGISTRY_NONE && !is_recent(&registry.functions[mode])) {
        registry.cause[mode] = *why;
        if (begin_outage(&registry.functions[mode]))
            report_failure(registry.used.first == 0 ? "the functions of this process have no names"
                                                    : "further functions have no names",
                           why);
    }
    return id;
}

/* New functions get other images; a function of these gets one, too, if its image cannot be read. */
static void leave_images(void)
{
    for (uint32_t i = 0; i < registry.image_count; i++) {
        image_freeze(registry.images[i].image);
        registry.images[i].inherited = UNKNOWN;
    }
    memset(registry.current, NO_IMAGE, sizeof registry.current);
    registry.first = registry.image_count;
}

bool registry_renew(void)
{
    for (uint32_t i = 0; i < registry.image_count; i++) {
        const struct image_entry *entry = &registry.images[i];
        bool in_use = i >= registry.first || entry->inherited == USABLE;
        if (in_use && image_path(entry->image) != NULL && !image_is_readable(entry->image)) {
            leave_images();
            return true;
        }
    }
    return false;
}

void registry_forked(void)
{
    leave_images();
    memset(registry.functions, 0, sizeof registry.functions);
    registry.files.now = false;
    id_list_clear(&registry.used);
}
