/* plan_library.h - libpyperf-plan.so: loaded for the plan, and gone again, but for its addresses.
 *
 * perf is told of each file that is mapped to be executed, and of none that goes. perf 7.2 keeps
 * the files that it has opened to unwind stacks from one sample to the next: where a sample fell
 * into it or one of its libraries, a library that the program loads later to the same
 * addresses would be unknown to it, and every stack would end there.
 *
 *     at start    |  libpyperf-plan.so  | libelf |      a sample: perf opens the file
 *     later       | _ctypes | libffi |                  perf: "there is libpyperf-plan.so"
 *     instead     | nothing, without any access |       _ctypes and libffi lie elsewhere
 *
 * It costs 2.2 MiB of addresses (the ---p lines of /proc/self/maps) and no memory. */
#ifndef PYPERF_COMPANION_H
#define PYPERF_COMPANION_H

#include "trampoline/base/elf_object.h"
#include "trampoline/base/elf_symbol.h"
#include "trampoline/base/failure.h"

/* The handle of the libpyperf-plan.so that lies beside the file which this library was mapped from
 * and is of the same build; NULL with `why` when there is none that can be loaded. Changes errno. */
void *plan_library_load(struct failure *why);

/* Takes it away with all that came with it. The addresses are not kept where RLIMIT_AS limits them,
 * and where another thread takes them meanwhile. Changes errno. */
void plan_library_unload(void *library);

/* elf_files_lookup, for which it loads the library and takes it away again. Changes errno. */
bool plan_library_look_into_files(const struct elf_object *object, const char *debug_root,
                                  struct elf_symbol *symbols, size_t count, struct failure *why);

#endif
