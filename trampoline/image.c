/* image.c - an image is made, loaded, and grows (image.h has the picture). */
#include "trampoline/image.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "trampoline/base/debug.h"
#include "trampoline/code_memory.h"
#include "trampoline/image_file.h"

enum {
    /* The file grows in these steps, for each of which it is opened once: about 2,700 symbols, 700
     * names, 4,096 trampolines. */
    GROW_SYMBOLS = 64 << 10,
    GROW_NAMES = 64 << 10,
    GROW_TEXT = 64 << 10,
    LINE_MAX_SIZE = 5, /* of 32 bits */
};

struct image {
    uint8_t *tables;  /* IMAGE_TABLES_OFFSET of the file, writable; or anonymous memory */
    uintptr_t base;   /* where offset 0 is mapped for execution */
    uint32_t spacing; /* trampolines from one function to the next */
    uint32_t used;    /* functions */
    bool frozen;      /* belongs to the parent process, or has stopped growing */
    bool anonymous;
    /* What is safe to use, in bytes of each region. */
    size_t symbols_reserved, names_reserved, text_reserved;
    size_t names_used;
    dev_t device;
    ino_t inode;
    char path[PATH_MAX];
};

static Elf64_Sym *symbols_of(const struct image *image)
{
    return (Elf64_Sym *)(image->tables + (IMAGE_SYMTAB_OFFSET - IMAGE_TABLES_OFFSET));
}

static char *names_of(const struct image *image)
{
    return (char *)image->tables + (IMAGE_STRTAB_OFFSET - IMAGE_TABLES_OFFSET);
}

static void publish_size(struct image *image, enum image_section section, size_t size)
{
    Elf64_Shdr *headers = (Elf64_Shdr *)image->tables;
    __atomic_store_n(&headers[section].sh_size, size, __ATOMIC_RELEASE);
}

/* Beyond RLIMIT_FSIZE the kernel sends SIGXFSZ, also where the file is longer already. */
static bool is_within_limit(off_t end)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
           (rlim_t)end <= limit.rlim_cur;
}

/* Blocks for [offset, offset + length) of the file. Returns 0 or an errno value. */
static int reserve(int fd, off_t offset, off_t length)
{
    if (!is_within_limit(offset + length))
        return EFBIG;
    int error;
    do
        error = posix_fallocate(fd, offset, length);
    while (error == EINTR);
    return error;
}

static int write_all(int fd, const uint8_t *bytes, size_t length, off_t offset)
{
    if (!is_within_limit(offset + (off_t)length))
        return EFBIG;
    while (length > 0) {
        ssize_t n = pwrite(fd, bytes, length, offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : ENOSPC;
        bytes += n;
        length -= (size_t)n;
        offset += n;
    }
    return 0;
}

/* The trampolines themselves: the same 16 bytes but for the distance to prologue. */
static void fill_trampolines(uint8_t *out, size_t offset, size_t length)
{
    for (size_t i = 0; i < length; i += ARCH_TRAMPOLINE_SIZE)
        arch_put_trampoline(out + i, IMAGE_TEXT_OFFSET + offset + i, IMAGE_PROLOGUE_OFFSET);
}

/* Bytes of text up to the end of the next trampoline. */
static size_t text_needed(const struct image *image)
{
    return ((size_t)image->used * image->spacing + 1) * ARCH_TRAMPOLINE_SIZE;
}

/* One step for each region that is short of room. The text is written into the file and shows in
 * the executable mapping, whose pages nobody has touched yet. Returns 0 or an errno value. */
static int grow(struct image *image, int fd, size_t name_size)
{
    int error = 0;
    size_t symbols_needed = (image->used + IMAGE_FIRST_SYMBOL + 1) * sizeof(Elf64_Sym);
    if (symbols_needed > image->symbols_reserved) {
        error = reserve(fd, IMAGE_SYMTAB_OFFSET + (off_t)image->symbols_reserved, GROW_SYMBOLS);
        if (error == 0)
            image->symbols_reserved += GROW_SYMBOLS;
    }
    size_t step = GROW_NAMES;
    while (image->names_reserved + step < image->names_used + name_size)
        step += GROW_NAMES;
    if (error == 0 && image->names_used + name_size > image->names_reserved) {
        error = reserve(fd, IMAGE_STRTAB_OFFSET + (off_t)image->names_reserved, (off_t)step);
        if (error == 0)
            image->names_reserved += step;
    }
    if (error == 0 && text_needed(image) > image->text_reserved) {
        uint8_t block[4096];
        for (size_t done = 0; error == 0 && done < GROW_TEXT; done += sizeof block) {
            fill_trampolines(block, image->text_reserved + done, sizeof block);
            error = write_all(fd, block, sizeof block,
                              IMAGE_TEXT_OFFSET + (off_t)(image->text_reserved + done));
        }
        if (error == 0)
            image->text_reserved += GROW_TEXT;
    }
    return error;
}

/* Opens the file by its path, and only if it is still the one that was made. */
static int open_again(const struct image *image)
{
    struct stat status;
    int fd = open(image->path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && (fstat(fd, &status) != 0 || status.st_dev != image->device ||
                    status.st_ino != image->inode)) {
        close(fd);
        errno = ESTALE;
        fd = -1;
    }
    return fd;
}

/* 0 or an errno value. */
static int make_room(struct image *image, size_t name_size)
{
    if (text_needed(image) > IMAGE_TEXT_SIZE || image->names_used + name_size > IMAGE_NAME_BYTES)
        return ENOBUFS;
    if ((image->used + IMAGE_FIRST_SYMBOL + 1) * sizeof(Elf64_Sym) <= image->symbols_reserved &&
        image->names_used + name_size <= image->names_reserved &&
        text_needed(image) <= image->text_reserved)
        return 0;
    int saved = errno;
    int fd = open_again(image);
    int error = fd >= 0 ? grow(image, fd, name_size) : errno;
    debug_log(image, error == 0 ? 2 : 1, "%s %s after %u functions", image->path,
              error == 0 ? "grows" : strerrordesc_np(error), image->used);
    if (fd >= 0)
        close(fd);
    errno = saved;
    return error;
}

/* Lines stand before the names, seven bits a byte, to be read backwards: a string table ends in
 * NUL. Of most functions it is two bytes. */
static size_t put_line(uint8_t *out, uint32_t line)
{
    size_t size = 1;
    while (size < LINE_MAX_SIZE && line >> (7 * size) != 0)
        size++;
    for (size_t i = 0; i < size; i++)
        out[size - 1 - i] = (uint8_t)((line >> (7 * i) & 0x7f) | (i + 1 < size ? 0x80 : 0));
    return size;
}

uint32_t image_line(const struct image *image, uint32_t number)
{
    const uint8_t *byte = (const uint8_t *)image_name(image, number);
    uint32_t line = 0;
    unsigned shift = 0;
    do {
        line |= (uint32_t)(*--byte & 0x7f) << shift;
        shift += 7;
    } while (*byte & 0x80);
    return line;
}

int32_t image_add(struct image *image, const char *name, size_t length, uint32_t line)
{
    if (image->frozen)
        return -1;
    if (make_room(image, LINE_MAX_SIZE + length + 1) != 0) {
        image->frozen = true;
        return -1;
    }
    char *names = names_of(image);
    image->names_used += put_line((uint8_t *)names + image->names_used, line);
    memcpy(names + image->names_used, name, length);
    names[image->names_used + length] = '\0';
    uint32_t number = image->used;
    symbols_of(image)[IMAGE_FIRST_SYMBOL + number] = (Elf64_Sym){
        .st_name = (Elf64_Word)image->names_used,
        .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
        .st_shndx = IMAGE_SECTION_TEXT,
        .st_value = image_trampoline(image, number) - image->base,
        .st_size = ARCH_TRAMPOLINE_SIZE,
    };
    image->names_used += length + 1;
    image->used++;
    publish_size(image, IMAGE_SECTION_STRTAB, image->names_used);
    publish_size(image, IMAGE_SECTION_SYMTAB,
                 (IMAGE_FIRST_SYMBOL + image->used) * sizeof(Elf64_Sym));
    return (int32_t)number;
}

static void new_build_id(uint8_t id[IMAGE_BUILD_ID_SIZE])
{
    if (getrandom(id, IMAGE_BUILD_ID_SIZE, GRND_NONBLOCK) == IMAGE_BUILD_ID_SIZE)
        return;
    /* An old kernel, or one just booted: unlike any other image of this machine is enough. */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    pid_t pid = getpid();
    memcpy(id, &now, sizeof now);
    memcpy(id + sizeof now, &pid, sizeof pid);
}

/* Mapped through another name of the file, which is gone at once: perf takes the lowest mapping of
 * a name for the load address of the object, and this one may come to lie below the text. Where the
 * file system has no links, perf may fail to unwind, by chance. */
static uint8_t *map_tables(const struct image *image, int fd)
{
    char other_name[PATH_MAX + 8];
    snprintf(other_name, sizeof other_name, "%s.tables", image->path);
    int other_fd = -1;
    if (link(image->path, other_name) == 0) {
        other_fd = open(other_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        unlink(other_name);
    }
    uint8_t *tables = mmap(NULL, IMAGE_FILE_SIZE - IMAGE_TABLES_OFFSET, PROT_READ | PROT_WRITE,
                           MAP_SHARED, other_fd >= 0 ? other_fd : fd, IMAGE_TABLES_OFFSET);
    if (other_fd >= 0)
        close(other_fd);
    /* Or the first touch of a page makes the kernel read ahead through the holes: 0.5 ms on ext4.
     */
    if (tables != MAP_FAILED)
        madvise(tables, IMAGE_FILE_SIZE - IMAGE_TABLES_OFFSET, MADV_RANDOM);
    return tables;
}

/* Writes the parts that are there from the start, and maps the tables. */
static int fill_file(struct image *image, int fd, const struct detour_plan *detour)
{
    uint8_t page[IMAGE_HEAD_SIZE] = {0};
    uint8_t build_id[IMAGE_BUILD_ID_SIZE] = {0};
    new_build_id(build_id);
    image_put_head(page, detour, build_id);
    int error = reserve(fd, IMAGE_DYNAMIC_OFFSET, IMAGE_SYMTAB_OFFSET - IMAGE_DYNAMIC_OFFSET);
    if (error == 0)
        error = write_all(fd, page, sizeof page, 0);
    memset(page, 0, sizeof page);
    image_put_dynamic(page);
    if (error == 0)
        error = write_all(fd, page, sizeof page, IMAGE_DYNAMIC_OFFSET);
    if (error == 0)
        error = grow(image, fd, GROW_NAMES / 2);
    if (error != 0)
        return error;

    image->tables = map_tables(image, fd);
    if (image->tables == MAP_FAILED)
        return errno;
    image_put_sections(image->tables);
    image->names_used = image_put_first_symbols(symbols_of(image), names_of(image), detour);
    publish_size(image, IMAGE_SECTION_STRTAB, image->names_used);
    publish_size(image, IMAGE_SECTION_SYMTAB, IMAGE_FIRST_SYMBOL * sizeof(Elf64_Sym));
    return 0;
}

/* dlopen rather than mmap: then perf, gdb, dl_iterate_phdr and the unwinders all know it. It is
 * never closed. */
static bool load(struct image *image, struct failure *why)
{
    struct link_map *map;
    void *handle = dlopen(image->path, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0)
        return failure_set(why, FAILURE_IMAGE_LOAD, 0, "%s", dlerror());
    image->base = map->l_addr;
    return true;
}

static bool make_file(struct image *image, const char *directory, const struct detour_plan *detour,
                      struct failure *why)
{
    int length = snprintf(image->path, sizeof image->path, "%s/pyperf-%d-XXXXXX.so", directory,
                          (int)getpid());
    if (length >= (int)sizeof image->path)
        return failure_set(why, FAILURE_IMAGE_FILE, ENAMETOOLONG, "%.100s...", directory);
    /* Mode 0600, O_EXCL: a file or link that stands there already is never opened. */
    int fd = mkostemps(image->path, (int)strlen(".so"), O_CLOEXEC);
    if (fd < 0)
        return failure_set(why, FAILURE_IMAGE_FILE, errno, "%s", image->path);
    struct stat status;
    int error = fstat(fd, &status) == 0 ? 0 : errno;
    image->device = status.st_dev;
    image->inode = status.st_ino;
    if (error == 0)
        error = fill_file(image, fd, detour);
    close(fd);
    if (error != 0)
        failure_set(why, FAILURE_IMAGE_FILE, error, "%s", image->path);
    if (error != 0 || !load(image, why)) {
        unlink(image->path);
        return false;
    }
    return true;
}

static struct image *new_image(uint32_t spacing, struct failure *why)
{
    struct image *image = calloc(1, sizeof *image);
    if (image == NULL)
        failure_set(why, FAILURE_MEMORY, errno, "image");
    else
        image->spacing = spacing;
    return image;
}

struct image *image_create(const char *directory, uint32_t spacing,
                           const struct detour_plan *detour, struct failure *why)
{
    int saved = errno;
    struct image *image = new_image(spacing, why);
    if (image != NULL && !make_file(image, directory, detour, why)) {
        if (image->tables != NULL && image->tables != MAP_FAILED)
            munmap(image->tables, IMAGE_FILE_SIZE - IMAGE_TABLES_OFFSET);
        free(image);
        image = NULL;
    }
    debug_log(image, 1, "%s", image != NULL ? image->path : failure_message(why->code));
    errno = saved;
    return image;
}

/* Head and text in executable memory: made beside it, because nobody can write there. */
static bool fill_anonymous(uint8_t *memory, const struct detour_plan *detour)
{
    uint8_t *draft = mmap(NULL, IMAGE_DYNAMIC_OFFSET, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (draft == MAP_FAILED)
        return false;
    uint8_t build_id[IMAGE_BUILD_ID_SIZE] = {0};
    image_put_head(draft, detour, build_id);
    fill_trampolines(draft + IMAGE_TEXT_OFFSET, 0, IMAGE_TEXT_SIZE);
    bool filled = code_memory_map((uintptr_t)memory, draft, IMAGE_DYNAMIC_OFFSET);
    int error = errno;
    munmap(draft, IMAGE_DYNAMIC_OFFSET);
    errno = error;
    return filled;
}

/* The same layout in anonymous memory, whose text is filled as a whole. */
static bool make_anonymous(struct image *image, const struct detour_plan *detour,
                           struct failure *why)
{
    uint8_t *memory = mmap(NULL, IMAGE_FILE_SIZE, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return failure_set(why, FAILURE_MEMORY, errno, "image");
    if (!fill_anonymous(memory, detour)) {
        failure_set(why, FAILURE_IMAGE_LOAD, errno, "anonymous pages");
        munmap(memory, IMAGE_FILE_SIZE);
        return false;
    }
    image->anonymous = true;
    image->base = (uintptr_t)memory;
    image->tables = memory + IMAGE_TABLES_OFFSET;
    image->symbols_reserved = IMAGE_SYMTAB_SIZE;
    image->names_reserved = IMAGE_NAME_BYTES;
    image->text_reserved = IMAGE_TEXT_SIZE;
    image->names_used = image_put_first_symbols(symbols_of(image), names_of(image), detour);
    return true;
}

struct image *image_create_anonymous(uint32_t spacing, const struct detour_plan *detour,
                                     struct failure *why)
{
    int saved = errno;
    struct image *image = new_image(spacing, why);
    if (image != NULL && !make_anonymous(image, detour, why)) {
        free(image);
        image = NULL;
    }
    errno = saved;
    return image;
}

uintptr_t image_trampoline(const struct image *image, uint32_t number)
{
    return image->base + IMAGE_TEXT_OFFSET +
           (uintptr_t)number * image->spacing * ARCH_TRAMPOLINE_SIZE;
}

int32_t image_trampoline_at(const struct image *image, uintptr_t address)
{
    uintptr_t number =
        (address - image_trampoline(image, 0)) / (image->spacing * ARCH_TRAMPOLINE_SIZE);
    return number < image->used ? (int32_t)number : -1;
}

const char *image_name(const struct image *image, uint32_t number)
{
    return names_of(image) + symbols_of(image)[IMAGE_FIRST_SYMBOL + number].st_name;
}

uint32_t image_used(const struct image *image)
{
    return image->used;
}

const char *image_path(const struct image *image)
{
    return image->anonymous ? NULL : image->path;
}

void image_freeze(struct image *image)
{
    image->frozen = true;
    mprotect(image->tables, IMAGE_FILE_SIZE - IMAGE_TABLES_OFFSET, PROT_READ);
}

int image_append(struct image *image, const char *name, size_t length)
{
    int error = image->frozen ? ENOBUFS : make_room(image, LINE_MAX_SIZE + length + 1);
    if (error == 0)
        image_add(image, name, length, 1);
    return error;
}

void image_discard(struct image *image)
{
    unlink(image->path);
    image->frozen = true;
}
