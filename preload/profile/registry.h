/* registry.h - all functions of this process that have a trampoline: name, file, line, trampoline.
 *
 * The same name, file and first line is one function, for any number of code objects: a program
 * that compiles the same template on each request uses one trampoline. A function has an id, which
 * consists of its image and its number there:
 *
 *     id    image | number          images[image]: trampolines of one mode, in an ELF file (image.h)
 *                                   functions[number]: qualified name, file, line
 *
 * An id stays valid until the process ends, and in its forked children. There the parent's
 * functions are registered again when they are called: they keep their trampolines, whose symbols
 * are in the parent's image. A function that the parent has not called, or whose image the child's
 * user cannot read (it was removed, or the child has become another user), gets a trampoline of an
 * image of the child's own. A child that calls no new function needs none.
 *
 * Names are kept here, in private memory. Images, map and jitdump are written from it and never
 * read back. Memory for a function: a trampoline (16 bytes), 16 bytes here, 5 to 11 of the table,
 * its qualified name and, once a file, the file's.
 *
 * Used under the profile's lock (profile.h), but for registry_address and registry_function of an
 * id that the caller has. */
#ifndef PYPERF_REGISTRY_H
#define PYPERF_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/profile/mode.h"
#include "trampoline/image.h"

#define REGISTRY_NONE UINT32_MAX

enum {
    REGISTRY_IMAGES = 64
}; /* 4,194,304 functions, in all images of a process and its ancestors */

/* Strings are numbers of interned.h. */
struct registry_function {
    uint32_t qualname, file, line;
};

/* The absolute path of the folder for images, and the detour for their trampolines; both must stay
 * valid. */
void registry_start(const char *directory, const struct detour_plan *detour);

/* The folder for images. */
const char *registry_directory(void);

/* If the file of an image was removed (by pyperf-run --detach, or by hand), its functions get
 * trampolines of other images from now on. Returns whether that is so; then the trampolines that code
 * objects have are not valid. */
bool registry_renew(void);

/* Makes sure that this process has an image of the mode with room for functions; *made says whether
 * it was made now. False with `why` when there can be no trampolines. */
bool registry_prepare(enum profile_mode mode, bool *made, struct failure *why);

/* Removes the image that registry_prepare has just made. */
void registry_discard(enum profile_mode mode);

/* The id of a function; a new one gets the next trampoline of an image of that mode, and a symbol.
 * REGISTRY_NONE with `why` on failure. FAILURE_FULL is permanent; after any other the call may be
 * repeated, and the cause is checked again at most once a second. The first failure in a row is
 * reported in one line. */
uint32_t registry_add(enum profile_mode mode, const struct registry_function *function,
                      struct failure *why);

uintptr_t registry_address(uint32_t id);

/* Whether its name is in an image's file, where perf finds it. */
bool registry_has_symbol(uint32_t id);

const struct registry_function *registry_function(uint32_t id);

/* The function whose trampoline is at an address; REGISTRY_NONE when there is none. */
uint32_t registry_at(uintptr_t address);

/* The next function of this process and mode after `id`, in the order of registration; the first
 * one after REGISTRY_NONE. REGISTRY_NONE when there is none. */
uint32_t registry_next(enum profile_mode mode, uint32_t id);

/* The function as perf shows it: py::<qualified name>:<file>. Valid until the next call, and the
 * next registry_add. */
struct name;
const struct name *registry_name(uint32_t id);

/* In a forked child, in the handler of pthread_atfork: the images are the parent's from now on.
 * Safe in a signal handler. */
void registry_forked(void);

#endif
