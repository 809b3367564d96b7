#include "registry.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../jitdump/jitdump.h"
#include "../jitdump/perf_map.h"
#include "arch.h"
#include "report.h"

/* perf looks nowhere else: Linux, tools/perf/util/dso.c for the map, jitdump.c for the dump. */
#define FILES_DIRECTORY "/tmp"

/* A hash table with linear probing; an empty place has id_plus_one 0. */
struct entry {
    uint32_t id_plus_one;
    uint32_t line; /* with FOR_JITDUMP where it is that writer's */
};

enum {
    FIRST_CAPACITY = 4096,
    NO_IMAGE = UINT8_MAX,
    JITDUMP_SPACING = 16,   /* slots: 256 bytes; code, salt and unwind data are below 200 */
    SPACE_LEFT = 128 << 20, /* bytes */
};
#define FOR_JITDUMP 0x80000000u

static struct registry {
    const struct detour_plan *detour;
    const char *directory; /* NULL once anonymous images have to do */
    struct image *images[REGISTRY_IMAGES];
    uint8_t image_count;
    uint8_t
        current[REGISTRY_WRITERS]; /* the image that takes functions, NO_IMAGE in a new process */
    enum registry_writer writer;
    bool full;
    struct perf_map map;
    struct jitdump dump;
    struct entry *table;
    uint32_t capacity, used; /* capacity is a power of two or 0 */
} registry = {.current = {NO_IMAGE, NO_IMAGE}};

static uint32_t make_id(uint32_t image, uint32_t slot)
{
    return image * IMAGE_SLOTS + slot;
}

uintptr_t registry_address(uint32_t id)
{
    return image_slot(registry.images[id / IMAGE_SLOTS], id % IMAGE_SLOTS);
}

const char *registry_name(uint32_t id)
{
    return image_name(registry.images[id / IMAGE_SLOTS], id % IMAGE_SLOTS);
}

uint32_t registry_at(uintptr_t address)
{
    for (uint32_t i = 0; i < registry.image_count; i++) {
        int32_t slot = image_slot_at(registry.images[i], address);
        if (slot >= 0)
            return make_id(i, (uint32_t)slot);
    }
    return REGISTRY_NONE;
}

/* An image takes some 18 MiB of address space. Where that is limited it is the program's: what is
 * left for it must be a multiple of that. */
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

/* With a file, or without where that cannot be had. */
static struct image *make_image(struct failure *why)
{
    uint32_t spacing = registry.writer == REGISTRY_JITDUMP ? JITDUMP_SPACING : 1;
    struct failure lost = {.code = FAILURE_NONE};
    struct image *image = NULL;
    if (registry.directory != NULL)
        image = image_create(registry.directory, spacing, registry.detour, &lost);
    if (image == NULL)
        image = image_create_anonymous(spacing, registry.detour, why);
    if (image != NULL && lost.code != FAILURE_NONE) {
        registry.directory = NULL;
        report_failure("no trampoline image, so stacks end at the first Python function and "
                       "its name needs /tmp/perf-PID.map",
                       &lost);
    }
    return image;
}

/* The next image for the writer. */
static bool add_image(struct failure *why)
{
    if (registry.image_count == REGISTRY_IMAGES)
        return failure_set(why, FAILURE_MEMORY, 0, "%d images are full", REGISTRY_IMAGES);
    if (!leaves_space(why))
        return false;
    struct image *image = make_image(why);
    if (image == NULL)
        return false;
    registry.current[registry.writer] = registry.image_count;
    registry.images[registry.image_count++] = image;
    return true;
}

static void open_file(void)
{
    int error;
    const char *path;
    if (registry.writer == REGISTRY_MAP) {
        error = perf_map_open(&registry.map, FILES_DIRECTORY, getpid());
        path = registry.map.path;
    } else {
        error = jitdump_open(&registry.dump, FILES_DIRECTORY, getpid(), ARCH_ELF_MACHINE);
        path = registry.dump.path;
    }
    if (error != 0)
        report("cannot write %s: %s; %s", path, strerrordesc_np(error),
               registry.directory == NULL ? "functions have no names"
                                          : "names are in the trampoline image alone");
}

/* Images and file of this process, for the writer in use. */
static bool begin(struct failure *why)
{
    if (registry.current[registry.writer] != NO_IMAGE)
        return true;
    if (!add_image(why))
        return false;
    open_file();
    return true;
}

bool registry_use(enum registry_writer writer, const struct detour_plan *detour,
                  const char *directory, struct failure *why)
{
    if (registry.detour == NULL)
        registry.directory = directory;
    registry.detour = detour;
    registry.writer = writer;
    return begin(why);
}

/* Eight bytes at a time; the constants are those of a 64-bit finaliser that mixes every bit of its
 * input into every bit of its output (splitmix64). */
static uint32_t hash_of(const char *name, size_t length, uint32_t line)
{
    uint64_t hash = line + 0x9e3779b97f4a7c15u * (length + 1);
    for (size_t i = 0; i < length; i += 8) {
        uint64_t block = 0;
        memcpy(&block, name + i, length - i < 8 ? length - i : 8);
        hash = (hash ^ block) * 0xbf58476d1ce4e5b9u;
        hash ^= hash >> 27;
    }
    hash *= 0x94d049bb133111ebu;
    return (uint32_t)(hash >> 32);
}

static struct entry *place_of(struct entry *table, uint32_t capacity, const char *name,
                              size_t length, uint32_t line)
{
    for (uint32_t i = hash_of(name, length, line);; i++) {
        struct entry *entry = &table[i & (capacity - 1)];
        if (entry->id_plus_one == 0)
            return entry;
        if (entry->line == line) {
            const char *other = registry_name(entry->id_plus_one - 1);
            if (strncmp(other, name, length) == 0 && other[length] == '\0')
                return entry;
        }
    }
}

/* Keeps an eighth of the table free. Memory comes from mmap: the program's heap is the program's.
 */
static bool make_room(void)
{
    if (registry.used < registry.capacity - registry.capacity / 8)
        return true;
    uint32_t capacity = registry.capacity == 0 ? FIRST_CAPACITY : registry.capacity * 2;
    struct entry *table = mmap(NULL, capacity * sizeof *table, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED)
        return false;
    for (uint32_t i = 0; i < registry.capacity; i++) {
        struct entry entry = registry.table[i];
        if (entry.id_plus_one == 0)
            continue;
        const char *name = registry_name(entry.id_plus_one - 1);
        *place_of(table, capacity, name, strlen(name), entry.line) = entry;
    }
    if (registry.table != NULL)
        munmap(registry.table, registry.capacity * sizeof *table);
    registry.table = table;
    registry.capacity = capacity;
    return true;
}

static uint32_t new_slot(const char *name, size_t length)
{
    struct failure why;
    uint8_t *current = &registry.current[registry.writer];
    int32_t slot = image_add(registry.images[*current], name, length);
    if (slot < 0) { /* full, or its file is gone */
        if (!add_image(&why)) {
            report_failure("further functions have no names", &why);
            return REGISTRY_NONE;
        }
        slot = image_add(registry.images[*current], name, length);
    }
    return slot < 0 ? REGISTRY_NONE : make_id(*current, (uint32_t)slot);
}

static int write_jitdump(uint32_t id, const char *name, size_t length)
{
    uint8_t unwind[IMAGE_SLOT_UNWIND_MAX];
    struct jitdump_function function = {
        .address = registry_address(id),
        .code = (const void *)registry_address(id),
        .code_size = ARCH_SLOT_SIZE,
        .name = name,
        .name_length = length,
        .unwind = unwind,
    };
    function.unwind_size =
        image_slot_unwind(unwind, ARCH_SLOT_SIZE + JITDUMP_SALT_SIZE, &function.unwind_header_size);
    return jitdump_append(&registry.dump, &function);
}

static void write_record(uint32_t id, const char *name, size_t length)
{
    bool is_map = registry.writer == REGISTRY_MAP;
    int error =
        is_map ? perf_map_append(&registry.map, registry_address(id), ARCH_SLOT_SIZE, name, length)
               : write_jitdump(id, name, length);
    if (error != 0)
        report("%s gets no more functions: %s", is_map ? registry.map.path : registry.dump.path,
               strerrordesc_np(error));
}

uint32_t registry_add(const char *name, size_t length, uint32_t line)
{
    struct failure why;
    if (!registry.full && !begin(&why)) {
        registry.full = true;
        report_failure("the functions of this process have no names", &why);
    }
    if (registry.full || !make_room())
        return REGISTRY_NONE;
    line = registry.writer == REGISTRY_JITDUMP ? line | FOR_JITDUMP : line & ~FOR_JITDUMP;
    struct entry *entry = place_of(registry.table, registry.capacity, name, length, line);
    if (entry->id_plus_one != 0)
        return entry->id_plus_one - 1;
    uint32_t id = new_slot(name, length);
    if (id == REGISTRY_NONE) {
        registry.full = true;
        return REGISTRY_NONE;
    }
    *entry = (struct entry){id + 1, line};
    registry.used++;
    write_record(id, name, length);
    return id;
}

void registry_forked(void)
{
    for (uint32_t i = 0; i < registry.image_count; i++)
        image_freeze(registry.images[i]);
    memset(registry.current, NO_IMAGE, sizeof registry.current);
    perf_map_abandon(&registry.map);
    jitdump_abandon(&registry.dump);
    if (registry.table != NULL)
        memset(registry.table, 0, registry.capacity * sizeof *registry.table);
    registry.used = 0;
}

void registry_finish(void)
{
    perf_map_finish(&registry.map);
}
