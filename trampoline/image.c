/* image.c - makes and loads an image (image.h has the picture). */
#include "trampoline/image.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "trampoline/base/debug.h"
#include "trampoline/base/own_file.h"
#include "trampoline/code_memory.h"
#include "trampoline/image_grow.h"
#include "trampoline/loader_lock.h"

static bool is_anonymous(const struct image *image)
{
    return image->path[0] == '\0';
}

static int append(struct image *image, const char *name, size_t length)
{
    struct stat status;
    int fd = -1, error = 0;
    if (!image_has_room(image, length + 1)) {
        error = own_file_open_again(&image->file, image->path, &fd, &status);
        if (error == 0)
            error = image_make_room(image, fd, length + 1);
        debug_log(image, error == 0 ? 2 : 1, "%s %s after %u functions", image->path,
                  error == 0 ? "grows" : strerrordesc_np(error), image->used);
    }
    if (error == 0)
        error = image_put_symbol(image, fd, name, length);
    if (fd >= 0)
        close(fd);
    return error;
}

int image_append(struct image *image, const char *name, size_t length)
{
    int saved = errno, error = 0;
    if (image->frozen || image_is_full(image))
        return ENOBUFS;
    if (!is_anonymous(image) && image->headers[1].sh_size + length + 1 > IMAGE_NAME_BYTES)
        return ENOBUFS;
    if (!is_anonymous(image))
        error = append(image, name, length);
    if (error == 0)
        image->used++;
    errno = saved;
    return error;
}

/* 16 random bytes, of 32 hexadecimal digits and four hyphens (random(4)). Not by getrandom(2): CPython 2.7 does
 * not call it, and so a seccomp filter may kill for it. */
static bool read_uuid(uint8_t *bytes)
{
    char text[36];
    int fd = open("/proc/sys/kernel/random/uuid", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text);
    if (fd >= 0)
        close(fd);
    if (length != (ssize_t)sizeof text)
        return false;
    size_t digits = 0;
    for (size_t i = 0; i < sizeof text && digits < 32; i++) {
        if (text[i] == '-')
            continue;
        unsigned digit = (unsigned)(text[i] <= '9' ? text[i] - '0' : text[i] - 'a' + 10);
        bytes[digits / 2] = (uint8_t)(bytes[digits / 2] << 4 | digit);
        digits++;
    }
    return digits == 32;
}

/* Without /proc it only differs from other images of this machine. */
static void new_build_id(uint8_t id[IMAGE_BUILD_ID_SIZE])
{
    struct timespec now;
    pid_t pid = getpid();
    if (!read_uuid(id)) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        memcpy(id, &now, sizeof now);
    }
    memcpy(id + IMAGE_BUILD_ID_SIZE - sizeof pid, &pid, sizeof pid);
}

static void put_head(uint8_t *head, const struct detour_plan *detour)
{
    uint8_t build_id[IMAGE_BUILD_ID_SIZE] = {0};
    struct process_identity owner;
    new_build_id(build_id);
    if (!process_identity_get(&owner))
        memset(&owner, 0, sizeof owner);
    image_put_head(head, detour, build_id, &owner);
}

/* Opens the file by a second name, for the windows, and removes that name: perf takes the lowest
 * mapping of a name for the object's load address, and a window may be below the text. On a file
 * system without hard links perf may by chance fail to unwind. */
static int open_by_other_name(const struct image *image)
{
    char other_name[PATH_MAX + 8];
    snprintf(other_name, sizeof other_name, "%s.tables", image->path);
    if (link(image->path, other_name) != 0)
        return -1;
    int fd = own_file_open(other_name, 0);
    unlink(other_name);
    return fd;
}

static int map_windows(struct image *image, int fd)
{
    int other_fd = open_by_other_name(image), mapped = other_fd >= 0 ? other_fd : fd;
    int error = file_tail_show(&image->sections, mapped);
    if (error == 0)
        error = file_tail_show(&image->symbols, mapped);
    if (error == 0)
        error = file_tail_show(&image->names, mapped);
    if (other_fd >= 0)
        close(other_fd);
    return error;
}

/* Writes the parts that the loader reads, and reserves blocks for the others. */
static int begin_file(struct image *image, int fd, const struct detour_plan *detour)
{
    uint8_t page[IMAGE_HEAD_SIZE] = {0};
    image->text_end = IMAGE_TEXT_OFFSET;
    image->sections.length = image->sections.reserved = IMAGE_SECTIONS_OFFSET;
    image->symbols.length = image->symbols.reserved = IMAGE_SYMTAB_OFFSET;
    image->names.length = image->names.reserved = IMAGE_STRTAB_OFFSET;
    put_head(page, detour);
    int error = own_file_write(fd, page, sizeof page, 0);
    if (error == 0)
        error = image_write_trampolines(image, fd);
    memset(page, 0, sizeof page);
    image_put_dynamic(page);
    if (error == 0)
        error = own_file_write(fd, page, IMAGE_DYNAMIC_USED, IMAGE_DYNAMIC_OFFSET);
    image->written = own_file_is_copied_on_write(fd);
    if (error != 0 || image->written)
        return error;
    error = image_reserve(&image->sections, fd, IMAGE_SECTIONS_OFFSET, IMAGE_SECTIONS_SIZE);
    if (error == 0)
        error = image_reserve(&image->symbols, fd, IMAGE_SYMTAB_OFFSET, 1);
    if (error == 0)
        error = image_reserve(&image->names, fd, IMAGE_STRTAB_OFFSET, 1);
    return error != 0 ? error : map_windows(image, fd);
}

/* Writes the tables without functions. Done last: the loader has read the file by then, and
 * image_cleanup.h takes a file that was read after its last write for one that perf has read. */
static int begin_tables(struct image *image, int fd, const struct detour_plan *detour)
{
    uint8_t page[IMAGE_SECTIONS_SIZE] = {0};
    Elf64_Sym symbols[IMAGE_FIRST_SYMBOL];
    char names[64];
    size_t size = image_put_first_symbols(symbols, names, detour);
    image_put_sections(page);
    memcpy(image->headers, page + IMAGE_SECTION_SYMTAB * sizeof(Elf64_Shdr), sizeof image->headers);
    int error = file_tail_put(&image->sections, fd, 0, page, sizeof page);
    if (error == 0)
        error = file_tail_put(&image->symbols, fd, 0, symbols, sizeof symbols);
    if (error == 0)
        error = file_tail_put(&image->names, fd, 0, names, size);
    if (error == 0)
        error = image_put_sizes(image, fd, sizeof symbols, size);
    image->symbols.length += sizeof symbols;
    image->names.length += (off_t)size;
    return error;
}

/* Maps the text without the loader, which is all that perf needs. */
static bool map_text(struct image *image, int fd, struct failure *why)
{
    void *text = mmap(NULL, IMAGE_DYNAMIC_OFFSET, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    if (text == MAP_FAILED)
        return failure_set(why, FAILURE_IMAGE_LOAD, errno, "%s", image->path);
    image->base = (uintptr_t)text;
    return true;
}

/* Loads the image by dlopen if that can be called, so that gdb, dl_iterate_phdr and the unwinders
 * in the process know it too. */
static bool load(struct image *image, int fd, struct failure *why)
{
    struct link_map *map;
    if (!loader_lock_is_usable())
        return map_text(image, fd, why);
    image->handle = dlopen(image->path, RTLD_NOW | RTLD_LOCAL);
    if (image->handle == NULL || dlinfo(image->handle, RTLD_DI_LINKMAP, &map) != 0)
        return failure_set(why, FAILURE_IMAGE_LOAD, 0, "%s", dlerror());
    image->base = map->l_addr;
    return true;
}

static bool fill_file(struct image *image, int fd, const struct detour_plan *detour,
                      struct failure *why)
{
    struct stat status;
    int error = fstat(fd, &status) == 0 ? 0 : errno;
    image->file = own_file_of(&status);
    if (error == 0)
        error = begin_file(image, fd, detour);
    if (error == 0 && !load(image, fd, why))
        return false;
    if (error == 0)
        error = begin_tables(image, fd, detour);
    return error == 0 || failure_set(why, FAILURE_IMAGE_FILE, error, "%s", image->path);
}

static bool make_file(struct image *image, const char *directory, const struct detour_plan *detour,
                      struct failure *why)
{
    image->unlinked = detour->unlinked;
    int length = snprintf(image->path, sizeof image->path, "%s/pyperf-%d-XXXXXX.so", directory,
                          (int)getpid());
    if (length >= (int)sizeof image->path) {
        image->path[0] = '\0';
        return failure_set(why, FAILURE_IMAGE_FILE, ENAMETOOLONG, "%.100s...", directory);
    }
    /* Mode 0600, O_EXCL: never opens an existing file or link. */
    int fd = mkostemps(image->path, (int)strlen(".so"), O_CLOEXEC);
    if (fd < 0) {
        failure_set(why, FAILURE_IMAGE_FILE, errno, "%s", image->path);
        image->path[0] = '\0';
        return false;
    }
    bool made = fill_file(image, fd, detour, why);
    close(fd);
    return made;
}

/* Fills the executable memory with head and text, from a draft: a store there would fault. */
static bool fill_anonymous(uint8_t *memory, const struct detour_plan *detour)
{
    uint8_t *draft = mmap(NULL, IMAGE_DYNAMIC_OFFSET, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (draft == MAP_FAILED)
        return false;
    put_head(draft, detour);
    size_t at;
    image_put_fdes(draft + IMAGE_FDES_OFFSET, 0, IMAGE_TEXT_SIZE, detour->unlinked, &at);
    image_fill_trampolines(draft + IMAGE_TEXT_OFFSET, IMAGE_TEXT_OFFSET, IMAGE_TEXT_SIZE,
                           detour->unlinked);
    bool filled = code_memory_map((uintptr_t)memory, draft, IMAGE_DYNAMIC_OFFSET);
    int error = errno;
    munmap(draft, IMAGE_DYNAMIC_OFFSET);
    errno = error;
    return filled;
}

/* Makes the same layout in anonymous memory: all of the text at once, and no tables. */
static bool make_anonymous(struct image *image, const struct detour_plan *detour,
                           struct failure *why)
{
    uint8_t *memory = mmap(NULL, IMAGE_DYNAMIC_OFFSET, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return failure_set(why, FAILURE_MEMORY, errno, "image");
    image->base = (uintptr_t)memory;
    return fill_anonymous(memory, detour) ||
           failure_set(why, FAILURE_IMAGE_LOAD, errno, "anonymous pages");
}

struct image *image_create(const char *directory, uint32_t spacing,
                           const struct detour_plan *detour, struct failure *why)
{
    int saved = errno;
    struct image *image = calloc(1, sizeof *image);
    if (image == NULL) {
        failure_set(why, FAILURE_MEMORY, errno, "image");
    } else {
        image->spacing = spacing;
        bool made = directory != NULL ? make_file(image, directory, detour, why)
                                      : make_anonymous(image, detour, why);
        if (!made) {
            image_discard(image);
            image = NULL;
        }
    }
    debug_log(image, 1, "%s",
              image == NULL         ? failure_message(why->code)
              : is_anonymous(image) ? "anonymous"
                                    : image->path);
    errno = saved;
    return image;
}

static void drop_windows(struct image *image)
{
    file_tail_drop(&image->sections);
    file_tail_drop(&image->symbols);
    file_tail_drop(&image->names);
}

void image_discard(struct image *image)
{
    int saved = errno;
    drop_windows(image);
    if (image->handle != NULL)
        dlclose(image->handle);
    else if (image->base != 0)
        munmap((void *)image->base, IMAGE_DYNAMIC_OFFSET);
    if (!is_anonymous(image))
        own_file_remove(&image->file, image->path);
    free(image);
    errno = saved;
}

uintptr_t image_trampoline(const struct image *image, uint32_t number)
{
    return image->base + image_trampoline_offset(image, number);
}

int32_t image_trampoline_at(const struct image *image, uintptr_t address)
{
    uintptr_t number =
        (address - image_trampoline(image, 0)) / (image->spacing * ARCH_TRAMPOLINE_SIZE);
    return number < image->used ? (int32_t)number : -1;
}

uint32_t image_used(const struct image *image)
{
    return image->used;
}

const char *image_path(const struct image *image)
{
    return is_anonymous(image) ? NULL : image->path;
}

bool image_is_readable(const struct image *image)
{
    int saved = errno;
    struct stat status;
    bool is = !is_anonymous(image) && own_file_is_there(&image->file, image->path, &status) &&
              status.st_uid == geteuid();
    errno = saved;
    return is;
}

void image_freeze(struct image *image)
{
    image->frozen = true;
    drop_windows(image);
}
