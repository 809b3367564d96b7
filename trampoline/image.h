/* image.h - trampolines as the text of a shared object that grows.
 *
 * perf, gdb and in-process unwinders name and unwind code of ELF files better than any other code.
 * So an image is an ELF file, which libpyperf writes and loads with dlopen:
 *
 *              in the file             in memory
 *     HEAD     headers, build id,      read-execute, private   one mapping: perf's libunwind reads
 *              unwind data, prologue                               unwind data through that of the text
 *     TEXT     trampoline 0, trampoline 1, ...
 *     DYNAMIC  for dlopen       read-write, private
 *     TABLES   section headers,        read-write, shared      the same bytes that perf will read;
 *              .symtab, .strtab        (windows)               not part of any segment
 *
 * The text of a trampoline never changes. A new function takes the next trampoline and appends its
 * name to .strtab and a symbol to .symtab: first the entry, then the section's size, so that a
 * reader finds complete tables at any moment and a killed process loses nothing. Only the ends of
 * the tables are mapped, for appending (file_tail.h). libpyperf never reads them back.
 *
 * Unused parts of the file are holes; blocks are reserved in steps that grow with the image, so it
 * takes little more disk space than it needs. No page is ever writable and executable, and no
 * descriptor stays open.
 *
 * The head is the first page: headers, unwind data, and the image's own copy of the evaluator's
 * displaced instructions (detour.h), which all its trampolines call. They are in the file, rather
 * than near the evaluator, so that a stack can be unwound from there as well; if they must run near
 * the evaluator, the image has a jump to the page there instead. No other page of the file is ever
 * mapped below the text: perf takes a file's lowest mapping for its load address. The head also
 * identifies the process that has made the image (image_cleanup.h).
 *
 * If no such file can be made, an anonymous image has the same trampolines, without symbols.
 *
 * Threads: an image is used by one thread at a time (for an interpreter: under its lock). */
#ifndef PYPERF_IMAGE_H
#define PYPERF_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trampoline/base/failure.h"
#include "trampoline/detour.h"

enum {
    IMAGE_TRAMPOLINES = 65536,   /* trampolines of one image */
    IMAGE_NAME_BYTES = 16 << 20, /* room for their names */
};

struct image;

/* Makes the file pyperf-PID-XXXXXX.so in `directory` (an absolute path), loads it and returns the
 * image; NULL with `why` on failure, which leaves no file. Only every `spacing`-th trampoline is
 * used, so that an image has IMAGE_TRAMPOLINES / spacing functions. The file stays when the process
 * ends: perf reads it later. If `directory` is NULL the image is in anonymous memory. Keeps errno. */
struct image *image_create(const char *directory, uint32_t spacing,
                           const struct detour_plan *detour, struct failure *why);

/* Gives the next trampoline, number image_used(), its symbol: a name of `length` bytes without NUL.
 * Returns 0, or an errno value and changes nothing:
 *     ENOBUFS   the image is full, or a parent's: another one is needed
 *     ESTALE    its file was removed, replaced, or is no longer this user's: another one is needed
 *     others    transient (a limit, a full disk, no free descriptor): may be tried again
 * Keeps errno. */
int image_append(struct image *image, const char *name, size_t length);

/* How many trampolines are in use: numbers 0 and up. */
uint32_t image_used(const struct image *image);

/* The address of a trampoline of this image; the number of the trampoline at an address, -1 if
 * there is none. */
uintptr_t image_trampoline(const struct image *image, uint32_t number);
int32_t image_trampoline_at(const struct image *image, uintptr_t address);

/* The path of the file, NULL for an anonymous image. */
const char *image_path(const struct image *image);

/* Whether the image's file still exists and is this user's, so that perf can read its names later.
 * False for an anonymous image. Keeps errno. */
bool image_is_readable(const struct image *image);

/* In a forked child: the file belongs to the parent. Its trampolines can run and be looked up, and
 * image_append gives ENOBUFS. Async-signal-safe. */
void image_freeze(struct image *image);

/* Unmaps an image whose trampolines no thread has ever run, and removes its file. Keeps errno. */
void image_discard(struct image *image);

/* The unwind data of one trampoline, for formats that carry it with the code: .eh_frame, then
 * .eh_frame_hdr, laid out for a text of `text_size` bytes (the trampoline first) that stands,
 * rounded up to 8, right before it. Returns the size of both, and that of the header part. */
enum { IMAGE_TRAMPOLINE_UNWIND_MAX = 256 };
size_t image_trampoline_unwind(uint8_t out[IMAGE_TRAMPOLINE_UNWIND_MAX], size_t text_size,
                               size_t *header_size);

#endif
