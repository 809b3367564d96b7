#include "preload/process/plan_library.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trampoline/base/address_space.h"
#include "trampoline/base/libc_functions.h"
#include "trampoline/base/mapping.h"
#include "trampoline/base/page.h"
#include "trampoline/base/read_at.h"
#include "trampoline/base/version.h"
#include "trampoline/near_memory.h"
#include "trampoline/plan/elf_files.h"

enum {
    MOST_OBJECTS =
        16, /* libpyperf-plan.so and its dependencies: libelf, liblzma, libz, libzstd, ... */
};

/* The objects that were loaded with libpyperf-plan.so or later, and their addresses. */
struct objects {
    uintptr_t library; /* the load address of libpyperf-plan.so */
    unsigned count;
    struct object {
        uintptr_t start, end;
        bool still_loaded;
    } of[MOST_OBJECTS];
};

/* Whether the file is as long as its program headers require. A truncated library, after a full
 * disk or during a copy, would be a SIGBUS in dlopen. */
static bool is_whole(int fd)
{
    struct {
        ElfW(Ehdr) header;
        ElfW(Phdr) segments[16];
    } start;
    struct stat status;
    ssize_t length = read_at(fd, &start.header, sizeof start.header, 0);
    bool whole = length == (ssize_t)sizeof start.header && fstat(fd, &status) == 0 &&
                 start.header.e_phnum <= sizeof start.segments / sizeof start.segments[0];
    size_t size = whole ? start.header.e_phnum * sizeof start.segments[0] : 0;
    whole =
        whole && read_at(fd, start.segments, size, (off_t)start.header.e_phoff) == (ssize_t)size;
    for (unsigned i = 0; whole && i < start.header.e_phnum; i++)
        whole = start.segments[i].p_filesz <= (size_t)status.st_size &&
                start.segments[i].p_offset <= (size_t)status.st_size - start.segments[i].p_filesz;
    return whole;
}

/* The directory of this library, which ends in a slash. The loader has the name of LD_PRELOAD,
 * which may be relative to an earlier current directory; the kernel has the path, which must still
 * lead to the mapped file: after an upgrade or in a chroot it is another one. */
static bool find_directory(char directory[PATH_MAX], struct failure *why)
{
    static const char in_memory[] = "/memfd:"; /* attach_blob.h */
    struct mapping self;
    if (!mapping_find((const void *)plan_library_load, &self))
        return failure_set(why, FAILURE_PLAN_LIBRARY, errno, "/proc/self/maps");
    if (strncmp(self.path, in_memory, sizeof in_memory - 1) == 0)
        return failure_set(why, FAILURE_PLAN_LIBRARY, 0, "%s",
                           "no folder there permits execution: mount a tmpfs on /tmp "
                           "(docker run --tmpfs /tmp:exec)");
    int file = open(self.path, O_RDONLY | O_CLOEXEC);
    bool same = file >= 0 && mapping_is_of(&self, file);
    int error = errno;
    if (file >= 0)
        close(file);
    if (!same && error != 0 && error != ENOENT)
        return failure_set(why, FAILURE_PLAN_LIBRARY, error, "%s", self.path);
    if (!same)
        return failure_set(why, FAILURE_PLAN_LIBRARY, 0,
                           "%.80s was replaced after it was loaded: restart the program",
                           self.path);
    strcpy(directory, self.path);
    strrchr(directory, '/')[1] = '\0';
    return true;
}

/* By its descriptor: glibc's dlopen would expand $ORIGIN and $LIB in a path (ld.so(8)). Not by
 * /proc/self: a debugger opens what is named in the loader's list, and would wait for ever where its
 * own descriptor of that number is a pipe. By its path on musl, which expands nothing, because the
 * library stays in that list there. */
static void *load(const char *path, struct failure *why)
{
    char name[48];
    void *library = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(name, sizeof name, "/proc/%d/fd/%d", (int)getpid(), fd);
    if (fd < 0)
        failure_set(why, FAILURE_PLAN_LIBRARY, errno, "%s", path);
    else if (!is_whole(fd))
        failure_set(why, FAILURE_PLAN_LIBRARY, 0, "%s is cut off", path);
    else if ((library = dlopen(libc_is_musl() ? path : name, RTLD_NOW | RTLD_LOCAL)) == NULL)
        failure_set(why, FAILURE_PLAN_LIBRARY, 0, "%s", dlerror());
    if (fd >= 0)
        close(fd);
    return library;
}

void *plan_library_load(struct failure *why)
{
    static const char name[] = "libpyperf-plan.so";
    char path[PATH_MAX + sizeof name];
    /* musl does not unload it: it must not take what the program needs. */
    if (!find_directory(path, why) || (libc_is_musl() && !address_space_is_left(why)))
        return NULL;
    void *library = load(strcat(path, name), why);
    const char *version = library == NULL ? NULL : dlsym(library, LIBPYPERF_VERSION_SYMBOL);
    if (library == NULL || (version != NULL && strcmp(version, libpyperf_version) == 0))
        return library;
    failure_set(why, FAILURE_PLAN_VERSION, 0, "%.60s, and %.60s",
                version == NULL ? "one without a version" : version, libpyperf_version);
    plan_library_unload(library);
    return NULL;
}

static struct object object_of(const struct dl_phdr_info *info)
{
    struct object object = {.start = UINTPTR_MAX};
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD)
            continue;
        uintptr_t start = page_down(info->dlpi_addr + segment->p_vaddr);
        uintptr_t end = info->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        if (start < object.start)
            object.start = start;
        if (end > object.end)
            object.end = page_up(end);
    }
    return object;
}

/* The loader lists objects in the order of loading. */
static int note_object(struct dl_phdr_info *info, size_t size, void *data)
{
    struct objects *objects = data;
    (void)size;
    if (objects->count == 0 && info->dlpi_addr != objects->library)
        return 0;
    if (objects->count == MOST_OBJECTS)
        return 1;
    objects->of[objects->count++] = object_of(info);
    return 0;
}

static int note_still_loaded(struct dl_phdr_info *info, size_t size, void *data)
{
    struct objects *objects = data;
    uintptr_t start = object_of(info).start;
    (void)size;
    for (unsigned i = 0; i < objects->count; i++)
        objects->of[i].still_loaded |= objects->of[i].start == start;
    return 0;
}

void plan_library_unload(void *library)
{
    const struct link_map *map = library;
    struct objects objects = {.library = map->l_addr};
    /* With limited address space the addresses are left to the program. */
    if (!address_space_is_limited())
        dl_iterate_phdr(note_object, &objects);
    dlclose(library);
    dl_iterate_phdr(note_still_loaded, &objects);
    for (unsigned i = 0; i < objects.count; i++) {
        if (!objects.of[i].still_loaded)
            near_memory_reserve_at(objects.of[i].start, objects.of[i].end - objects.of[i].start);
    }
}

bool plan_library_look_into_files(const struct elf_object *object, const char *debug_root,
                                  struct elf_symbol *symbols, size_t count, struct failure *why)
{
    void *library = plan_library_load(why);
    if (library == NULL)
        return false;
    __typeof__(&elf_files_lookup) lookup =
        (__typeof__(&elf_files_lookup))dlsym(library, "elf_files_lookup");
    bool read = lookup != NULL ? lookup(object, debug_root, symbols, count, why)
                               : failure_set(why, FAILURE_PLAN_LIBRARY, 0, "%s", dlerror());
    plan_library_unload(library);
    return read;
}
