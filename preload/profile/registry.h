/* registry.h - all functions of this process that have a trampoline: name, file, line, trampoline.
 *
 * The same name, file and first line is one function, however many code objects carry it: a program
 * that compiles the same template on each request uses one trampoline. A function is known by its
 * id, which says in which image it stands and as which of its functions:
 *
 *     id    image | number          images[image]: trampolines of one mode, in an ELF file (image.h)
 *                                   functions[number]: qualified name, file, line
 *
 * An id stays valid for as long as the process lives, and in its forked children. There what the
 * parent has registered is registered again when it is called: it keeps its trampoline, whose symbol
 * is in the parent's image. A function that the parent has not called, or whose image the child's
 * user cannot read (it was removed, or the child has become another user), gets a trampoline of an
 * image of the child's own. A child that calls nothing new needs none.
 *
 * Names are kept here, in private memory. Images, map and jitdump are written from it and never read
 * back. Memory for a function: a trampoline (16 bytes), 16 bytes here, 5 to 11 of the table, its
 * qualified name and, once a file, the file's.
 *
 * Used under the profile's lock (profile.h), but for registry_address and registry_function of an id
 * that the caller has. */
#ifndef PYPERF_REGISTRY_H
#define PYPERF_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
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

/* Where images are made, an absolute path, and the detour that their trampolines lead to; both are
 * kept. */
void registry_start(const char *directory, const struct detour_plan *detour);

/* Makes sure that this process has an image of the mode that takes functions; *made says whether it
 * was made now. False with `why` when there can be no trampolines. */
bool registry_prepare(enum profile_mode mode, bool *made, struct failure *why);

/* Takes the image away that registry_prepare has just made. */
void registry_discard(enum profile_mode mode);

/* The id of a function; a new one gets the next trampoline of an image of that mode, and a symbol.
 * REGISTRY_NONE with `why` when it can have none now. FAILURE_FULL is for ever; with anything else
 * it may be asked for again, and the cause is looked at again once a second at most. The first
 * failure in a row is said in one line. */
uint32_t registry_add(enum profile_mode mode, const struct registry_function *function,
                      struct failure *why);

uintptr_t registry_address(uint32_t id);
const struct registry_function *registry_function(uint32_t id);

/* The function whose trampoline is at an address; REGISTRY_NONE when there is none. */
uint32_t registry_at(uintptr_t address);

/* The next function of this process and mode after `id`, in the order of registration; the first
 * one after REGISTRY_NONE. REGISTRY_NONE when there is none. */
uint32_t registry_next(enum profile_mode mode, uint32_t id);

/* The function as perf shows it: py::<qualified name>:<file>. Valid until the next call, and the next
 * registry_add. */
struct name;
const struct name *registry_name(uint32_t id);

/* In a forked child, in the handler of pthread_atfork: the images are the parent's from now on. Safe
 * in a signal handler. */
void registry_forked(void);

#endif
