/* image.c - makes, loads and extends an image (image.h has the picture). */
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
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "trampoline/base/debug.h"
#include "trampoline/base/file_tail.h"
#include "trampoline/base/own_file.h"
#include "trampoline/code_memory.h"
#include "trampoline/image_file.h"
#include "trampoline/loader_lock.h"

enum {
    /* A region begins with one page and doubles until it grows in these steps: some 2,700 symbols,
     * 1,000 names, 4,096 trampolines. Each step opens the file once. */
    LARGEST_STEP = 64 << 10,
};

struct image {
    uintptr_t base;   /* where offset 0 is mapped for execution */
    void *handle;     /* of dlopen; NULL: mapped without the loader */
    uint32_t spacing; /* trampolines from one function to the next */
    uint32_t used;    /* functions */
    bool unlinked;    /* of its trampolines: arch_put_trampoline */
    bool frozen;      /* belongs to the parent process: takes no more functions */
    bool written;     /* by a write for each symbol: the file system copies on write */
    struct file_tail sections, symbols, names;
    off_t text_end;        /* the file has trampolines up to here */
    Elf64_Shdr headers[2]; /* of .symtab and .strtab, as they are in the file */
    struct own_file file;
    char path[PATH_MAX]; /* empty: an anonymous image */
};

_Static_assert((int)IMAGE_SECTION_STRTAB == (int)IMAGE_SECTION_SYMTAB + 1, "image headers");

static bool is_anonymous(const struct image *image)
{
    return image->path[0] == '\0';
}

/* The next end of a region that ends at `end` and has to reach at least `needed`. */
static off_t next_end(off_t start, off_t end, off_t needed)
{
    const off_t page = sysconf(_SC_PAGESIZE);
    off_t step = end - start < LARGEST_STEP ? end - start : LARGEST_STEP;
    off_t next = end + step > needed ? end + step : needed;
    return (next + page - 1) / page * page;
}

/* Reserves blocks for `size` more bytes of a region, and for a whole step. Returns 0 or an errno
 * value. */
static int reserve(struct file_tail *tail, int fd, off_t start, off_t size)
{
    if (tail->length + size <= tail->reserved)
        return 0;
    off_t end = next_end(start, tail->reserved, tail->length + size);
    int error = own_file_may_reach(end);
    if (error != 0)
        return error;
    do
        error = posix_fallocate(fd, tail->reserved, end - tail->reserved);
    while (error == EINTR);
    if (error == 0)
        tail->reserved = end;
    return error;
}

/* Fills text with trampolines, each with its own distance to the prologue. */
static void fill_trampolines(uint8_t *out, off_t offset, size_t length, bool unlinked)
{
    for (size_t i = 0; i < length; i += ARCH_TRAMPOLINE_SIZE)
        arch_put_trampoline(out + i, (uintptr_t)offset + i, IMAGE_PROLOGUE_OFFSET, unlinked);
}

/* The end of the next function's trampoline. */
static off_t text_needed(const struct image *image)
{
    return IMAGE_TEXT_OFFSET + ((off_t)image->used * image->spacing + 1) * ARCH_TRAMPOLINE_SIZE;
}

/* The unwind data of the trampolines that begin in `length` bytes of text from `offset` on. */
static int write_fdes(int fd, size_t offset, size_t length, bool unlinked)
{
    uint8_t fdes[IMAGE_FDES_MAX(IMAGE_BLOCK)] = {0};
    size_t at, size = image_put_fdes(fdes, offset, length, unlinked, &at);
    return own_file_write(fd, fdes, size, (off_t)at);
}

/* Writes more trampolines into the file; the executable mapping shows them. Returns 0 or an errno
 * value. */
static int write_trampolines(struct image *image, int fd)
{
    uint8_t block[IMAGE_BLOCK];
    off_t first = image->text_end;
    off_t end = next_end(IMAGE_TEXT_OFFSET, image->text_end, text_needed(image));
    if (end > IMAGE_TEXT_OFFSET + IMAGE_TEXT_SIZE)
        end = IMAGE_TEXT_OFFSET + IMAGE_TEXT_SIZE;
    while (image->text_end < end) {
        size_t length =
            end - image->text_end < IMAGE_BLOCK ? (size_t)(end - image->text_end) : IMAGE_BLOCK;
        fill_trampolines(block, image->text_end, length, image->unlinked);
        int error =
            write_fdes(fd, (size_t)(image->text_end - IMAGE_TEXT_OFFSET), length, image->unlinked);
        if (error == 0)
            error = own_file_write(fd, block, length, image->text_end);
        if (error != 0)
            return error;
        image->text_end += (off_t)length;
    }
    if (image->base != 0)
        arch_synchronise(image->base + (size_t)first, (size_t)(end - first));
    return 0;
}

static bool has_room(const struct image *image, size_t name_size)
{
    return file_tail_has_room(&image->symbols, sizeof(Elf64_Sym)) &&
           file_tail_has_room(&image->names, name_size) && text_needed(image) <= image->text_end;
}

/* Makes room for one more symbol in each region that lacks it. Returns 0 or an errno value. */
static int make_room(struct image *image, int fd, size_t name_size)
{
    int error = 0;
    if (text_needed(image) > image->text_end)
        error = write_trampolines(image, fd);
    if (image->written)
        return error;
    if (error == 0)
        error = reserve(&image->symbols, fd, IMAGE_SYMTAB_OFFSET, sizeof(Elf64_Sym));
    if (error == 0)
        error = reserve(&image->names, fd, IMAGE_STRTAB_OFFSET, (off_t)name_size);
    if (error == 0)
        error = file_tail_show(&image->symbols, fd);
    if (error == 0)
        error = file_tail_show(&image->names, fd);
    return error;
}

/* Writes the sizes of both tables, names first: a reader in between finds a name without a
 * symbol. */
static int put_sizes(struct image *image, int fd, size_t symbols, size_t names)
{
    Elf64_Shdr headers[2] = {image->headers[0], image->headers[1]};
    const size_t at = IMAGE_SECTION_SYMTAB * sizeof *headers;
    headers[0].sh_size = symbols;
    headers[1].sh_size = names;
    if (image->sections.window != NULL) {
        Elf64_Shdr *mapped =
            (Elf64_Shdr *)(image->sections.window +
                           (image->sections.length - image->sections.window_start)) +
            IMAGE_SECTION_SYMTAB;
        __atomic_store_n(&mapped[1].sh_size, names, __ATOMIC_RELEASE);
        __atomic_store_n(&mapped[0].sh_size, symbols, __ATOMIC_RELEASE);
    } else {
        int error = file_tail_put(&image->sections, fd, at, headers, sizeof headers);
        if (error != 0)
            return error;
    }
    memcpy(image->headers, headers, sizeof headers);
    return 0;
}

/* Writes the entries first, then the sizes that make them part of the tables. */
static int put_symbol(struct image *image, int fd, const char *name, size_t length)
{
    const Elf64_Sym symbol = {
        .st_name = (Elf64_Word)(image->names.length - IMAGE_STRTAB_OFFSET),
        .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
        .st_shndx = IMAGE_SECTION_TEXT,
        .st_value = image_trampoline(image, image->used) - image->base,
        .st_size = ARCH_TRAMPOLINE_SIZE,
    };
    int error = file_tail_put(&image->names, fd, 0, name, length);
    if (error == 0)
        error = file_tail_put(&image->names, fd, length, "", 1);
    if (error == 0)
        error = file_tail_put(&image->symbols, fd, 0, &symbol, sizeof symbol);
    if (error == 0)
        error = put_sizes(image, fd, image->headers[0].sh_size + sizeof symbol,
                          image->headers[1].sh_size + length + 1);
    if (error == 0) {
        image->names.length += (off_t)length + 1;
        image->symbols.length += sizeof symbol;
    }
    return error;
}

static int append(struct image *image, const char *name, size_t length)
{
    struct stat status;
    int fd = -1, error = 0;
    if (!has_room(image, length + 1)) {
        error = own_file_open_again(&image->file, image->path, &fd, &status);
        if (error == 0)
            error = make_room(image, fd, length + 1);
        debug_log(image, error == 0 ? 2 : 1, "%s %s after %u functions", image->path,
                  error == 0 ? "grows" : strerrordesc_np(error), image->used);
    }
    if (error == 0)
        error = put_symbol(image, fd, name, length);
    if (fd >= 0)
        close(fd);
    return error;
}

int image_append(struct image *image, const char *name, size_t length)
{
    int saved = errno, error = 0;
    if (image->frozen || text_needed(image) > IMAGE_TEXT_OFFSET + IMAGE_TEXT_SIZE)
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

static void new_build_id(uint8_t id[IMAGE_BUILD_ID_SIZE])
{
    if (getrandom(id, IMAGE_BUILD_ID_SIZE, GRND_NONBLOCK) == IMAGE_BUILD_ID_SIZE)
        return;
    /* On an old kernel, or just after boot: it only has to differ from other images of this
     * machine. */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    pid_t pid = getpid();
    memcpy(id, &now, sizeof now);
    memcpy(id + sizeof now, &pid, sizeof pid);
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
        error = write_trampolines(image, fd);
    memset(page, 0, sizeof page);
    image_put_dynamic(page);
    if (error == 0)
        error = own_file_write(fd, page, sizeof page, IMAGE_DYNAMIC_OFFSET);
    image->written = own_file_is_copied_on_write(fd);
    if (error != 0 || image->written)
        return error;
    error = reserve(&image->sections, fd, IMAGE_SECTIONS_OFFSET, IMAGE_SECTIONS_SIZE);
    if (error == 0)
        error = reserve(&image->symbols, fd, IMAGE_SYMTAB_OFFSET, 1);
    if (error == 0)
        error = reserve(&image->names, fd, IMAGE_STRTAB_OFFSET, 1);
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
        error = put_sizes(image, fd, sizeof symbols, size);
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
        image_discard(image);
        image = NULL;
    }
    debug_log(image, 1, "%s", image != NULL ? image->path : failure_message(why->code));
    errno = saved;
    return image;
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
    fill_trampolines(draft + IMAGE_TEXT_OFFSET, IMAGE_TEXT_OFFSET, IMAGE_TEXT_SIZE,
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

struct image *image_create_anonymous(uint32_t spacing, const struct detour_plan *detour,
                                     struct failure *why)
{
    int saved = errno;
    struct image *image = new_image(spacing, why);
    if (image != NULL && !make_anonymous(image, detour, why)) {
        image_discard(image);
        image = NULL;
    }
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
    return image->base + IMAGE_TEXT_OFFSET +
           (uintptr_t)number * image->spacing * ARCH_TRAMPOLINE_SIZE;
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
