/* image.h - trampolines as the text of a shared object that grows.
 *
 * perf, gdb and in-process unwinders know how to name and unwind code that comes from an ELF file,
 * and nothing else as well. So an image is an ELF file, written by us and loaded with dlopen:
 *
 *              in the file             in memory
 *     HEAD     headers, build id,      read-execute, private   one mapping: perf's libunwind reads
 *              unwind data, prologue                               unwind data through that of the text
 *     TEXT     trampoline 0, trampoline 1, ...
 *     DYNAMIC  what dlopen wants       read-write, private
 *     TABLES   section headers,        read-write, shared      the same bytes that perf will read;
 *              .symtab, .strtab                                not part of any segment
 *
 * The text of a trampoline never changes. A new function takes the next trampoline and appends its name to
 * .strtab and a symbol to .symtab: first the entry, then the section's size, so that a reader finds
 * a whole table at any moment and a killed process loses nothing. Regions of the file that are not
 * in use yet are holes; blocks are reserved before anything is stored through the mapping, because
 * a store into a hole on a full disk is a SIGBUS in the user's program. No page is ever writable
 * and executable, and no descriptor stays open.
 *
 * The head is the first page: headers, unwind data, and the image's own copy of the evaluator's
 * displaced instructions (detour.h), which all its trampolines call. They are in the file, rather than
 * near the evaluator, so that a stack can be unwound from there as well; when they cannot run just
 * anywhere, a jump to the page near the evaluator stands in their place. No other page of the file
 * is ever mapped below the text: perf takes a file's lowest mapping for its load address.
 *
 * Where no such file can be had, an anonymous image has the same trampolines and names, without the file.
 *
 * Threads: an image is used by one thread at a time (for an interpreter: under its lock). */
#ifndef PYPERF_IMAGE_H
#define PYPERF_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "trampoline/base/failure.h"
#include "trampoline/detour.h"

enum {
    IMAGE_TRAMPOLINES = 65536,   /* trampolines of one image */
    IMAGE_NAME_BYTES = 16 << 20, /* room for their names */
};

struct image;

/* Makes the file pyperf-PID-XXXXXX.so in `directory` (an absolute path), loads it and returns the
 * image; NULL with `why` when that cannot be done, and then no file is left. Only every
 * `spacing`-th trampoline is given away, so that an image has IMAGE_TRAMPOLINES / spacing functions. The file
 * stays when the process ends: perf reads it later. Keeps errno. */
struct image *image_create(const char *directory, uint32_t spacing,
                           const struct detour_plan *detour, struct failure *why);

/* The same without a file, in anonymous memory. */
struct image *image_create_anonymous(uint32_t spacing, const struct detour_plan *detour,
                                     struct failure *why);

/* Gives the next trampoline the name, `length` bytes that hold no NUL, and keeps `line` with it. Returns
 * the trampoline's number, or -1 when the image is full or its file can no longer grow; then another
 * image is needed. */
int32_t image_add(struct image *image, const char *name, size_t length, uint32_t line);
int image_append(struct image *image, const char *name, size_t length);
void image_discard(struct image *image);

/* How many trampolines have been given away: numbers 0 and up. */
uint32_t image_used(const struct image *image);

/* The address of a trampoline of this image, and the trampoline at an address, -1 when it is not one. */
uintptr_t image_trampoline(const struct image *image, uint32_t number);
int32_t image_trampoline_at(const struct image *image, uintptr_t address);

/* The name of a trampoline in use; valid as long as the process lives. */
const char *image_name(const struct image *image, uint32_t number);
uint32_t image_line(const struct image *image, uint32_t number);

/* The path of the file, NULL for an anonymous image. */
const char *image_path(const struct image *image);

/* In a forked child: the tables belong to the parent; they are read, never written again. */
void image_freeze(struct image *image);

/* The unwind data of one trampoline, for formats that carry it with the code: .eh_frame, then
 * .eh_frame_hdr, laid out for a text of `text_size` bytes (the trampoline first) that stands, rounded up
 * to 8, right before it. Returns the size of both, and that of the header part. */
enum { IMAGE_TRAMPOLINE_UNWIND_MAX = 256 };
size_t image_trampoline_unwind(uint8_t out[IMAGE_TRAMPOLINE_UNWIND_MAX], size_t text_size,
                               size_t *header_size);

#endif
