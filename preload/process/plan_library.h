/* plan_library.h - loads libpyperf-plan.so for the plan, unloads it, and reserves its addresses.
 *
 * perf records each executable mapping, but no unmapping. perf 7.2 keeps files open that it needs
 * for unwinding: after a sample in libpyperf-plan.so or one of its libraries, it would not
 * recognise a library that the program loads later at the same addresses, and every stack would end
 * there.
 *
 *     at start    |  libpyperf-plan.so  | libelf |      a sample: perf opens the file
 *     later       | _ctypes | libffi |                  perf: still libpyperf-plan.so
 *     instead     | nothing, without any access |       _ctypes and libffi are elsewhere
 *
 * It costs 2.2 MiB of addresses (the ---p lines of /proc/self/maps) and no memory. */
#ifndef PYPERF_PLAN_LIBRARY_H
#define PYPERF_PLAN_LIBRARY_H

#include "trampoline/base/elf_object.h"
#include "trampoline/base/elf_symbol.h"
#include "trampoline/base/failure.h"

/* Loads the libpyperf-plan.so beside the file from which this library was mapped; it must be of the
 * same build. Returns its handle, or NULL with `why`. Changes errno. */
void *plan_library_load(struct failure *why);

/* Unloads it with its dependencies, and reserves their addresses, unless RLIMIT_AS is set or
 * another thread takes them meanwhile. musl's dlclose does nothing: there they stay loaded. Changes
 * errno. */
void plan_library_unload(void *library);

/* Calls elf_files_lookup, for which it loads and unloads the library. Changes errno. */
bool plan_library_look_into_files(const struct elf_object *object, const char *debug_root,
                                  struct elf_symbol *symbols, size_t count, struct failure *why);

#endif
