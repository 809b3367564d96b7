/* jitdump.h - the binary file from which `perf inject --jit` makes an ELF file for each function.
 *
 * Linux, tools/perf/Documentation/jitdump-specification.txt (version 1):
 *
 *     header                        magic, version, CPU, pid, time
 *     JIT_CODE_UNWINDING_INFO       for the function that follows
 *     JIT_CODE_LOAD                 address, name, and a copy of the code
 *     ...
 *
 * perf learns of the file because its first page is mapped executable (the marker), and recognises
 * it by its name, jit-PID.dump (tools/perf/util/jitdump.c, jit_detect). Its clock is the monotonic
 * one: perf record -k 1.
 *
 * Both records of a function are written by one write(2), before the function runs for the first
 * time and within one page of the file, so a killed process leaves whole records. As in perf_map.h,
 * no descriptor is kept, errors are errno values, and nothing is printed. After any error but
 * ESTALE the dump can be used as before, and the next function may succeed. ESTALE: the file was
 * removed, replaced or truncated; the dump is closed and can be opened again. A dump is used by one
 * thread at a time. */
#ifndef PYPERF_JITDUMP_H
#define PYPERF_JITDUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "trampoline/base/own_file.h"

struct jitdump {
    bool open;
    char path[64];
    struct own_file file;
    off_t size; /* of all complete records */
    pid_t pid;
    uint64_t functions; /* written so far: the index of the next one */
};

struct jitdump_function {
    uintptr_t address; /* of the code */
    const void *code;  /* code_size bytes of it, as they are to be copied */
    size_t code_size;
    const char *name; /* name_length bytes without NUL */
    size_t name_length;
    /* .eh_frame and behind it .eh_frame_hdr, for code that stands, rounded up to 8, before them. */
    const void *unwind;
    size_t unwind_size, unwind_header_size;
};

enum {
    /* Appended to the copy of the code, so that no two records of any two processes are equal: perf
     * makes the build id from the code, and takes files with equal build ids for the same file. */
    JITDUMP_SALT_SIZE = 16,
};

/* Makes jit-PID.dump in `directory`, mode 0600, and maps its marker. An existing file is emptied if
 * it is a regular file of this user with no other link, and empty or a jitdump, as an earlier
 * process with this pid leaves it. Anything else stays as it is, and gives EPERM or the error of
 * open(2). `machine` is the ELF machine (EM_X86_64). Keeps errno. */
int jitdump_open(struct jitdump *dump, const char *directory, pid_t pid, uint32_t machine);

/* Appends the records of one function; after an error the file holds no part of them. A closed dump
 * ignores functions. Keeps errno. */
int jitdump_append(struct jitdump *dump, const struct jitdump_function *function);

/* In a forked child: forgets the dump, whose file belongs to the parent. The marker stays mapped.
 */
void jitdump_abandon(struct jitdump *dump);

#endif
