/* registry.h - all functions of this process that have a trampoline: name, trampoline, line in the map.
 *
 * The same name, file and first line is one function, however many code objects carry it: a program
 * that compiles the same template on each request uses one trampoline. A function is known by its id,
 * which says in which image and trampoline it stands, and stays valid for as long as the process lives;
 * in a forked child, ids and addresses from before the fork can still be asked for their names, but
 * every function is registered anew, in images and a map of the child's own.
 *
 * Used under the interpreter's lock. Memory for a function, beside its name: a trampoline (16 bytes), a
 * symbol (24), 5 to 9 of the table, and a
 * line number of one or two bytes. */
#ifndef PYPERF_REGISTRY_H
#define PYPERF_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trampoline/image.h"

#define REGISTRY_NONE UINT32_MAX

enum {
    REGISTRY_IMAGES = 64
}; /* 4,194,304 functions, in all images of a process and its ancestors */

/* Which file beside the images gets the names. A function that is registered for both has two
 * trampolines: those for a jitdump must stand further apart (jitdump.h, jitdump_extent). */
enum registry_writer { REGISTRY_MAP, REGISTRY_JITDUMP, REGISTRY_WRITERS };

/* From now on functions are registered for this writer. Where the process has none of that kind
 * yet, makes an image in `directory` (an absolute path), or an anonymous one where that cannot be
 * done, and opens the file. `detour` is kept. What is lost when something
 * could not be had is said in one line each. False, with `why`, when there can be no trampolines.
 */
bool registry_use(enum registry_writer writer, const struct detour_plan *detour,
                  const char *directory, struct failure *why);

/* The id of a function; new ones get a trampoline, a symbol and a record of the writer. REGISTRY_NONE
 * when there is no room for another one. */
uint32_t registry_add(const char *name, size_t length, uint32_t line);

uintptr_t registry_address(uint32_t id);
const char *registry_name(uint32_t id);

/* The function whose trampoline is at an address; REGISTRY_NONE when it is nobody's. */
uint32_t registry_at(uintptr_t address);

/* The map as a file that the program, too, writes lines to (native_api.h); any thread may. Opened when
 * it is not yet; 0 or an errno value. The name holds no newline. registry_map_copy appends the lines
 * of another map. */
int registry_map_open(void);
int registry_map_line(uintptr_t address, size_t size, const char *name, size_t length);
int registry_map_copy(const char *path);

/* Whether the map of a forked child begins with its parent's lines. */
void registry_keep_after_fork(bool keep);

/* In a forked child, in the handler of pthread_atfork: lets go of the parent's files. The next
 * registry_add makes the child's own. Calls only what is safe in a signal handler. */
void registry_forked(void);

/* At exit: the map is cut to its lines. */
void registry_finish(void);

#endif
