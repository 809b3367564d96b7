/* image_grow.h - an image's state, and how its file grows. For image.c only.
 *
 * Functions that return an int return 0 or an errno value. */
#ifndef PYPERF_IMAGE_GROW_H
#define PYPERF_IMAGE_GROW_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "trampoline/base/file_tail.h"
#include "trampoline/base/own_file.h"
#include "trampoline/image.h"
#include "trampoline/image_file.h"

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

/* Where function `number`'s trampoline is in the file, and in the mapping from the base on. */
static inline size_t image_trampoline_offset(const struct image *image, uint32_t number)
{
    return IMAGE_TEXT_OFFSET + (size_t)number * image->spacing * ARCH_TRAMPOLINE_SIZE;
}

/* Reserves blocks for `size` more bytes of a region that begins at `start`, and for a whole step. */
int image_reserve(struct file_tail *tail, int fd, off_t start, off_t size);

/* Fills text with trampolines, each with its own distance to the prologue. */
void image_fill_trampolines(uint8_t *out, off_t offset, size_t length, bool unlinked);

/* Writes more trampolines into the file; the executable mapping shows them. */
int image_write_trampolines(struct image *image, int fd);

/* Whether all trampolines are in use. */
bool image_is_full(const struct image *image);

/* Whether each region has room for one more symbol. */
bool image_has_room(const struct image *image, size_t name_size);

/* Makes room for one more symbol in each region that lacks it. */
int image_make_room(struct image *image, int fd, size_t name_size);

/* Writes the sizes of both tables, names first: a reader in between finds a name without a
 * symbol. */
int image_put_sizes(struct image *image, int fd, size_t symbols, size_t names);

/* Writes a symbol and its name, and then the sizes that make them part of the tables. */
int image_put_symbol(struct image *image, int fd, const char *name, size_t length);

#endif
