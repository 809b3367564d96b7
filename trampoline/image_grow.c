/* image_grow.c - text and tables of an image's file, extended for more functions. */
#include "trampoline/image_grow.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    /* A region begins with one page and doubles until it grows in these steps: some 2,700 symbols,
     * 1,000 names, 4,096 trampolines. Each step opens the file once. */
    LARGEST_STEP = 64 << 10,
};

_Static_assert((int)IMAGE_SECTION_STRTAB == (int)IMAGE_SECTION_SYMTAB + 1, "image headers");

/* The next end of a region that ends at `end` and has to reach at least `needed`. */
static off_t next_end(off_t start, off_t end, off_t needed)
{
    const off_t page = sysconf(_SC_PAGESIZE);
    off_t step = end - start < LARGEST_STEP ? end - start : LARGEST_STEP;
    off_t next = end + step > needed ? end + step : needed;
    return (next + page - 1) / page * page;
}

int image_reserve(struct file_tail *tail, int fd, off_t start, off_t size)
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

void image_fill_trampolines(uint8_t *out, off_t offset, size_t length, bool unlinked)
{
    for (size_t i = 0; i < length; i += ARCH_TRAMPOLINE_SIZE)
        arch_put_trampoline(out + i, (uintptr_t)offset + i, IMAGE_PROLOGUE_OFFSET, unlinked);
}

/* The end of the next function's trampoline. */
static off_t text_needed(const struct image *image)
{
    return (off_t)image_trampoline_offset(image, image->used) + ARCH_TRAMPOLINE_SIZE;
}

/* The unwind data of the trampolines that begin in `length` bytes of text from `offset` on. */
static int write_fdes(int fd, size_t offset, size_t length, bool unlinked)
{
    uint8_t fdes[IMAGE_FDES_MAX(IMAGE_BLOCK)] = {0};
    size_t at, size = image_put_fdes(fdes, offset, length, unlinked, &at);
    return own_file_write(fd, fdes, size, (off_t)at);
}

int image_write_trampolines(struct image *image, int fd)
{
    uint8_t block[IMAGE_BLOCK];
    off_t first = image->text_end;
    off_t end = next_end(IMAGE_TEXT_OFFSET, image->text_end, text_needed(image));
    if (end > IMAGE_TEXT_OFFSET + IMAGE_TEXT_SIZE)
        end = IMAGE_TEXT_OFFSET + IMAGE_TEXT_SIZE;
    while (image->text_end < end) {
        size_t length =
            end - image->text_end < IMAGE_BLOCK ? (size_t)(end - image->text_end) : IMAGE_BLOCK;
        image_fill_trampolines(block, image->text_end, length, image->unlinked);
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

bool image_is_full(const struct image *image)
{
    return text_needed(image) > IMAGE_TEXT_OFFSET + IMAGE_TEXT_SIZE;
}

bool image_has_room(const struct image *image, size_t name_size)
{
    return file_tail_has_room(&image->symbols, sizeof(Elf64_Sym)) &&
           file_tail_has_room(&image->names, name_size) && text_needed(image) <= image->text_end;
}

int image_make_room(struct image *image, int fd, size_t name_size)
{
    int error = 0;
    if (text_needed(image) > image->text_end)
        error = image_write_trampolines(image, fd);
    if (image->written)
        return error;
    if (error == 0)
        error = image_reserve(&image->symbols, fd, IMAGE_SYMTAB_OFFSET, sizeof(Elf64_Sym));
    if (error == 0)
        error = image_reserve(&image->names, fd, IMAGE_STRTAB_OFFSET, (off_t)name_size);
    if (error == 0)
        error = file_tail_show(&image->symbols, fd);
    if (error == 0)
        error = file_tail_show(&image->names, fd);
    return error;
}

int image_put_sizes(struct image *image, int fd, size_t symbols, size_t names)
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

int image_put_symbol(struct image *image, int fd, const char *name, size_t length)
{
    const Elf64_Sym symbol = {
        .st_name = (Elf64_Word)(image->names.length - IMAGE_STRTAB_OFFSET),
        .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
        .st_shndx = IMAGE_SECTION_TEXT,
        .st_value = image_trampoline_offset(image, image->used),
        .st_size = ARCH_TRAMPOLINE_SIZE,
    };
    int error = file_tail_put(&image->names, fd, 0, name, length);
    if (error == 0)
        error = file_tail_put(&image->names, fd, length, "", 1);
    if (error == 0)
        error = file_tail_put(&image->symbols, fd, 0, &symbol, sizeof symbol);
    if (error == 0)
        error = image_put_sizes(image, fd, image->headers[0].sh_size + sizeof symbol,
                                image->headers[1].sh_size + length + 1);
    if (error == 0) {
        image->names.length += (off_t)length + 1;
        image->symbols.length += sizeof symbol;
    }
    return error;
}
