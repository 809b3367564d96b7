#include "preload/profile/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "arch.h"
#include "jitdump/jitdump.h"
#include "jitdump/perf_map.h"
#include "preload/process/report.h"
#include "trampoline/base/hash.h"
#include "trampoline/image_cleanup.h"

/* perf looks nowhere else: Linux, tools/perf/util/dso.c for the map, jitdump.c for the dump. */
#define FILES_DIRECTORY "/tmp"

enum {
    FIRST_CAPACITY = 4096,
    /* An entry of the table: an id, plus one, and above it some bits of the hash, which tell most
     * functions apart without a look at their names. */
    ID_BITS = 23,
    NO_IMAGE = UINT8_MAX,
    JITDUMP_SPACING = 16,   /* trampolines: 256 bytes; code, salt and unwind data are below 200 */
    SPACE_LEFT = 128 << 20, /* bytes */
};

_Static_assert((uint64_t)REGISTRY_IMAGES *IMAGE_TRAMPOLINES < 1u << ID_BITS, "ids do not fit");

/* The names and lines of an image's functions. */
struct names {
    uint32_t offsets[IMAGE_TRAMPOLINES], lines[IMAGE_TRAMPOLINES];
    uint32_t used;
    char text[IMAGE_NAME_BYTES];
};

static struct registry {
    const struct detour_plan *detour;
    const char *directory; /* NULL once anonymous images have to do */
    struct image *images[REGISTRY_IMAGES];
    struct names *names[REGISTRY_IMAGES];
    uint8_t image_count;
    uint8_t first; /* image of this process: the others are its parent's */
    enum registry_writer writers[REGISTRY_IMAGES]; /* whose functions are in an image */
    uint8_t
        current[REGISTRY_WRITERS]; /* the image that takes functions, NO_IMAGE in a new process */
    enum registry_writer writer;
    bool full;
    bool cleaned;             /* old images have been looked for, here or in a parent */
    pthread_mutex_t map_lock; /* the program may write to the map without its interpreter's lock */
    struct perf_map map;
    bool keeps; /* lines of the parent go into a child's map */
    char parent_map[sizeof((struct perf_map *)NULL)->path]; /* what they are to be read from */
    struct jitdump dump;
    uint32_t *table;         /* linear probing; an empty place is 0 */
    uint32_t capacity, used; /* capacity is a power of two or 0 */
} registry = {.current = {NO_IMAGE, NO_IMAGE}, .map_lock = PTHREAD_MUTEX_INITIALIZER};

static uint32_t make_id(uint32_t image, uint32_t trampoline)
{
    return image * IMAGE_TRAMPOLINES + trampoline;
}

uintptr_t registry_address(uint32_t id)
{
    return image_trampoline(registry.images[id / IMAGE_TRAMPOLINES], id % IMAGE_TRAMPOLINES);
}

const char *registry_name(uint32_t id)
{
    const struct names *names = registry.names[id / IMAGE_TRAMPOLINES];
    return names->text + names->offsets[id % IMAGE_TRAMPOLINES];
}

uint32_t registry_at(uintptr_t address)
{
    for (uint32_t i = 0; i < registry.image_count; i++) {
        int32_t trampoline = image_trampoline_at(registry.images[i], address);
        if (trampoline >= 0)
            return make_id(i, (uint32_t)trampoline);
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
        return failure_set(why, FAILURE_FULL, 0, "%d images are full", REGISTRY_IMAGES);
    if (!leaves_space(why))
        return false;
    struct image *image = make_image(why);
    if (image == NULL)
        return false;
    struct names *names = mmap(NULL, sizeof *names, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (names == MAP_FAILED) {
        image_discard(image);
        return failure_set(why, FAILURE_MEMORY, errno, "names");
    }
    registry.names[registry.image_count] = names;
    registry.current[registry.writer] = registry.image_count;
    registry.writers[registry.image_count] = registry.writer;
    registry.images[registry.image_count++] = image;
    return true;
}

int registry_map_open(void)
{
    pthread_mutex_lock(&registry.map_lock);
    int error = 0;
    if (!registry.map.open)
        error = perf_map_open(&registry.map, FILES_DIRECTORY, getpid());
    if (error == 0 && registry.parent_map[0] != '\0') {
        error = perf_map_copy(&registry.map, registry.parent_map);
        registry.parent_map[0] = '\0';
    }
    pthread_mutex_unlock(&registry.map_lock);
    return error;
}

static int append_line(uintptr_t address, size_t size, const char *name, size_t length)
{
    pthread_mutex_lock(&registry.map_lock);
    int error = perf_map_append(&registry.map, address, size, name, length);
    pthread_mutex_unlock(&registry.map_lock);
    return error;
}

int registry_map_line(uintptr_t address, size_t size, const char *name, size_t length)
{
    int error = registry_map_open();
    return error != 0 ? error : append_line(address, size, name, length);
}

int registry_map_copy(const char *path)
{
    int error = registry_map_open();
    if (error != 0)
        return error;
    pthread_mutex_lock(&registry.map_lock);
    error = perf_map_copy(&registry.map, path);
    pthread_mutex_unlock(&registry.map_lock);
    return error;
}

void registry_keep_after_fork(bool keep)
{
    registry.keeps = keep;
}

static void open_file(void)
{
    int error;
    const char *path;
    if (registry.writer == REGISTRY_MAP) {
        error = registry_map_open();
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
    if (!begin(why))
        return false;
    if (!registry.cleaned && directory == image_shared_directory)
        image_cleanup(directory, time(NULL));
    registry.cleaned = true;
    return true;
}

static uint32_t entry_of(uint32_t hash, uint32_t id)
{
    return hash >> ID_BITS << ID_BITS | (id + 1);
}

static uint32_t id_of(uint32_t entry)
{
    return (entry & ((1u << ID_BITS) - 1)) - 1;
}

static bool is_function(uint32_t id, const char *name, size_t length, uint32_t line)
{
    const char *other = registry_name(id);
    return registry.writers[id / IMAGE_TRAMPOLINES] == registry.writer &&
           registry.names[id / IMAGE_TRAMPOLINES]->lines[id % IMAGE_TRAMPOLINES] == line &&
           strncmp(other, name, length) == 0 && other[length] == '\0';
}

/* Where the function is, or is to be. */
static uint32_t *place_of(uint32_t hash, const char *name, size_t length, uint32_t line)
{
    for (uint32_t i = hash;; i++) {
        uint32_t *entry = &registry.table[i & (registry.capacity - 1)];
        if (*entry == 0 || (*entry >> ID_BITS == hash >> ID_BITS &&
                            is_function(id_of(*entry), name, length, line)))
            return entry;
    }
}

/* Enters the functions of an image in the order of their names in memory. */
static void enter_image(uint32_t number)
{
    const struct image *image = registry.images[number];
    for (uint32_t trampoline = 0; trampoline < image_used(image); trampoline++) {
        const char *name = registry_name(make_id(number, trampoline));
        uint32_t hash = hash_text(name, strlen(name), registry.names[number]->lines[trampoline]);
        uint32_t i = hash;
        while (registry.table[i & (registry.capacity - 1)] != 0)
            i++;
        registry.table[i & (registry.capacity - 1)] = entry_of(hash, make_id(number, trampoline));
    }
}

/* Keeps an eighth of the table free. Memory comes from mmap: the program's heap is the program's.
 */
static bool make_room(struct failure *why)
{
    if (registry.used < registry.capacity - registry.capacity / 8)
        return true;
    uint32_t capacity = registry.capacity == 0 ? FIRST_CAPACITY : registry.capacity * 2;
    uint32_t *table = mmap(NULL, capacity * sizeof *table, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (table == MAP_FAILED)
        return failure_set(why, FAILURE_MEMORY, errno, "table of functions");
    if (registry.table != NULL)
        munmap(registry.table, registry.capacity * sizeof *table);
    registry.table = table;
    registry.capacity = capacity;
    for (uint32_t i = registry.first; i < registry.image_count; i++)
        enter_image(i);
    return true;
}

static uint32_t append_function(uint8_t number, const char *name, size_t length, uint32_t line)
{
    struct names *names = registry.names[number];
    uint32_t trampoline = image_used(registry.images[number]);
    if (names->used + length + 1 > sizeof names->text ||
        image_append(registry.images[number], name, length) != 0)
        return REGISTRY_NONE;
    names->offsets[trampoline] = names->used;
    names->lines[trampoline] = line;
    memcpy(names->text + names->used, name, length);
    names->used += (uint32_t)length + 1;
    return make_id(number, trampoline);
}

static uint32_t new_trampoline(const char *name, size_t length, uint32_t line)
{
    struct failure why;
    uint8_t *current = &registry.current[registry.writer];
    uint32_t id = append_function(*current, name, length, line);
    if (id == REGISTRY_NONE) { /* full, or its file is gone */
        if (!add_image(&why)) {
            report_failure("further functions have no names", &why);
            return REGISTRY_NONE;
        }
        id = append_function(*current, name, length, line);
    }
    return id;
}

static int write_jitdump(uint32_t id, const char *name, size_t length)
{
    uint8_t unwind[IMAGE_TRAMPOLINE_UNWIND_MAX];
    struct jitdump_function function = {
        .address = registry_address(id),
        .code = (const void *)registry_address(id),
        .code_size = ARCH_TRAMPOLINE_SIZE,
        .name = name,
        .name_length = length,
        .unwind = unwind,
    };
    function.unwind_size = image_trampoline_unwind(unwind, ARCH_TRAMPOLINE_SIZE + JITDUMP_SALT_SIZE,
                                                   &function.unwind_header_size);
    return jitdump_append(&registry.dump, &function);
}

static void write_record(uint32_t id, const char *name, size_t length)
{
    bool is_map = registry.writer == REGISTRY_MAP;
    int error = is_map ? append_line(registry_address(id), ARCH_TRAMPOLINE_SIZE, name, length)
                       : write_jitdump(id, name, length);
    if (error != 0)
        report("%s gets no more functions: %s", is_map ? registry.map.path : registry.dump.path,
               strerrordesc_np(error));
}

uint32_t registry_add(const char *name, size_t length, uint32_t line)
{
    struct failure why;
    if (!registry.full && !(begin(&why) && make_room(&why))) {
        registry.full = true;
        report_failure(registry.used == 0 ? "the functions of this process have no names"
                                          : "further functions have no names",
                       &why);
    }
    if (registry.capacity == 0)
        return REGISTRY_NONE;
    uint32_t hash = hash_text(name, length, line);
    uint32_t *entry = place_of(hash, name, length, line);
    if (*entry != 0)
        return id_of(*entry);
    if (registry.full)
        return REGISTRY_NONE;
    uint32_t id = new_trampoline(name, length, line);
    if (id == REGISTRY_NONE) {
        registry.full = true;
        return REGISTRY_NONE;
    }
    *entry = entry_of(hash, id);
    registry.used++;
    write_record(id, name, length);
    return id;
}

void registry_forked(void)
{
    for (uint32_t i = 0; i < registry.image_count; i++)
        image_freeze(registry.images[i]);
    memset(registry.current, NO_IMAGE, sizeof registry.current);
    registry.first = registry.image_count;
    pthread_mutex_init(&registry.map_lock, NULL); /* another thread may have held it */
    if (registry.keeps && registry.map.open)
        memcpy(registry.parent_map, registry.map.path, sizeof registry.parent_map);
    perf_map_abandon(&registry.map);
    jitdump_abandon(&registry.dump);
    if (registry.table != NULL)
        memset(registry.table, 0, registry.capacity * sizeof *registry.table);
    registry.used = 0;
    registry.cleaned = true;
}

void registry_finish(void)
{
    perf_map_finish(&registry.map);
}
