/* code_map.h - which file's code is at an address, and where its unwind data is: as of the last
 * look at /proc/self/maps, so without the loader, whose lock a signal handler must not wait for.
 *
 * An object's ELF header is mapped at offset 0 of its file, below its code:
 *
 *     7f12c0000-7f12c4000 r--p 00000000 08:01 531  libpython3.9.so     ELF header, program headers
 *     7f12c4000-7f12e0000 r-xp 00004000 08:01 531  libpython3.9.so     code
 *     7f12e0000-7f12f0000 r--p 00020000 08:01 531  libpython3.9.so     .eh_frame_hdr, .eh_frame
 *
 * What is known is read without a lock. One thread looks at a time; another one that has to does not
 * wait, it is told that the map is busy. */
#ifndef PYPERF_CODE_MAP_H
#define PYPERF_CODE_MAP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "trampoline/base/elf_object.h"

struct code_mapping {
    uintptr_t start, end;
    uint64_t offset;          /* in the file */
    uint64_t inode, device;   /* 0 for [vdso] */
    uintptr_t elf;            /* the ELF header; 0: not mapped */
    uintptr_t limit;          /* where the file's last mapping ends */
    uintptr_t unwind;         /* .eh_frame_hdr; 0: none */
    struct elf_object object; /* no segments: not known */
};

/* Called for each mapping that the last look did not find. `path` is the path in /proc/self/maps,
 * which ends with " (deleted)" if the file was removed. */
typedef void code_map_seen(const struct code_mapping *mapping, const char *path);

enum code_map_answer {
    CODE_MAP_FOUND,
    CODE_MAP_NOTHING, /* no code is there */
    CODE_MAP_BUSY,    /* another thread is looking */
};

/* Looks at /proc/self/maps unless that was done shortly before `now` (CLOCK_MONOTONIC,
 * nanoseconds). Returns whether a mapping has gone or was replaced: then what was derived from
 * addresses is not valid any more. For signal handlers; changes errno. */
bool code_map_look(uint64_t now, code_map_seen *seen);

/* The mapping around `pc`. If there is none, and the last look is not recent, looks again, and
 * *changed becomes what code_map_look returns. */
enum code_map_answer code_map_find(uintptr_t pc, uint64_t now, code_map_seen *seen,
                                   struct code_mapping *mapping, bool *changed);

/* In a thread that has been interrupted for good and may have been looking; or in another one with
 * the same thread pointer. */
void code_map_give_up(void);

/* The next look calls `seen` for all mappings, also those that are known, and is due at once. For
 * signal handlers. pre: no other thread looks. */
void code_map_show_again(void);

/* Forgets all, in a process that has one thread, and no lock is held. */
void code_map_forget(void);

#endif
