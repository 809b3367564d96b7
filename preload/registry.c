#include "registry.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../jitdump/perf_map.h"
#include "arch.h"
#include "report.h"

#define MAP_DIRECTORY "/tmp" /* Linux, tools/perf/util/symbol.c, dso__load_perf_map's caller */

/* A hash table with linear probing; an empty place has id_plus_one 0. */
struct entry {
    uint32_t id_plus_one;
    uint32_t line;
};

static struct registry {
    const struct image_head *head;
    const char *directory; /* NULL once anonymous images have to do */
    struct image *images[REGISTRY_IMAGES];
    uint32_t image_count;
    bool own_image; /* the last image belongs to this process, not to its parent */
    bool full;
    struct perf_map map;
    struct entry *table;
    uint32_t capacity, used; /* capacity is a power of two or 0 */
} registry;

enum { FIRST_CAPACITY = 4096 };

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

/* The next image, with a file or without. */
static bool add_image(struct failure *lost)
{
    if (registry.image_count == REGISTRY_IMAGES)
        return failure_set(lost, FAILURE_MEMORY, 0, "%d images are full", REGISTRY_IMAGES);
    struct image *image = NULL;
    if (registry.directory != NULL)
        image = image_create(registry.directory, registry.head, lost);
    if (image == NULL) {
        struct failure why;
        registry.directory = NULL;
        image = image_create_anonymous(registry.head, &why);
        if (image == NULL) {
            *lost = why;
            return false;
        }
    }
    registry.images[registry.image_count++] = image;
    registry.own_image = true;
    return true;
}

bool registry_prepare(const struct image_head *head, const char *directory, struct failure *lost)
{
    registry.head = head;
    registry.directory = directory;
    lost->code = FAILURE_NONE;
    return add_image(lost);
}

bool registry_map_head(struct failure *why)
{
    return image_map_head(registry.images[0], registry.head, why);
}

void registry_discard(void)
{
    image_remove_file(registry.images[0]);
}

void registry_open_map(void)
{
    int error = perf_map_open(&registry.map, MAP_DIRECTORY, getpid());
    if (error != 0)
        report("no map file: %s: %s; perf will not name functions without an image",
               registry.map.path, strerrordesc_np(error));
}

/* In a child after a fork: what was let go in the handler is made anew, for this process. */
static bool begin_again(void)
{
    struct failure lost = {.code = FAILURE_NONE};
    for (uint32_t i = 0; i < registry.image_count; i++)
        image_freeze(registry.images[i]);
    if (registry.table != NULL)
        memset(registry.table, 0, registry.capacity * sizeof *registry.table);
    registry.used = 0;
    if (!add_image(&lost)) {
        report_failure("functions of a forked child have no names", &lost);
        return false;
    }
    registry_open_map();
    return true;
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
    struct failure lost = {.code = FAILURE_NONE};
    int32_t slot = image_add(registry.images[registry.image_count - 1], name, length);
    if (slot < 0) { /* full, or its file is gone */
        if (!add_image(&lost)) {
            report_failure("no names for further functions", &lost);
            return REGISTRY_NONE;
        }
        if (lost.code != FAILURE_NONE)
            report_failure("further functions are named in the map file only", &lost);
        slot = image_add(registry.images[registry.image_count - 1], name, length);
    }
    return slot < 0 ? REGISTRY_NONE : make_id(registry.image_count - 1, (uint32_t)slot);
}

uint32_t registry_add(const char *name, size_t length, uint32_t line)
{
    if (!registry.own_image && !registry.full && !begin_again())
        registry.full = true;
    if (registry.full || !make_room())
        return REGISTRY_NONE;
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
    int error = perf_map_append(&registry.map, registry_address(id), ARCH_SLOT_SIZE, name, length);
    if (error != 0)
        report("the map file gets no more lines: %s: %s", registry.map.path,
               strerrordesc_np(error));
    return id;
}

void registry_forked(void)
{
    registry.own_image = false;
    perf_map_abandon(&registry.map);
}

void registry_finish(void)
{
    perf_map_finish(&registry.map);
}
