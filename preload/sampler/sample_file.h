/* sample_file.h - appends records to this process's sample file (sample_format.h), from any
 * thread's signal handler, without a lock.
 *
 * The file is mapped a segment at a time, and blocks are reserved before it is mapped, because a
 * store into a mapping can only fail by a signal. No descriptor is kept: the next segment opens the
 * file again by its path (own_file.h), when half of the present one is used, so that other threads
 * do not wait. What is in the file stays there after SIGKILL. */
#ifndef PYPERF_SAMPLE_FILE_H
#define PYPERF_SAMPLE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "preload/sampler/sample_format.h"
#include "preload/sampler/thread_name.h"
#include "trampoline/base/failure.h"

/* Whether files in this directory can be stored into safely: false with `why`. Makes no file.
 * `directory` must stay valid. */
bool sample_file_start(const char *directory, struct failure *why);

/* Makes this process's file, if it has none. False: there is none, and the next call tries again.
 * For signal handlers; one thread makes it, others get false meanwhile. */
bool sample_file_open(uint32_t python, uint64_t period);

/* Says in this process's file that threads that wait are in it, too; false: it has no file yet. */
bool sample_file_is_watched(void);

/* Whether there is a file, that began `span` nanoseconds or more before `now` (CLOCK_MONOTONIC). */
bool sample_file_is_older(uint64_t span, uint64_t now);

/* Whether it is the name of the process, as the file's header has it. pre: there is a file. */
bool sample_file_is_name(const char name[THREAD_NAME]);

/* Room for a record of `size` bytes, which becomes a multiple of 8; NULL: the file is full, or the
 * next segment cannot be had now. The record is zeroed but for its head, which says
 * SAMPLE_UNFINISHED. */
void *sample_file_room(size_t size, uint32_t *id);

/* The record is complete. */
void sample_file_done(void *record, enum sample_type type, size_t size);

/* A record of this process's file by its id. */
const void *sample_file_record(uint32_t id);

/* Samples that were lost. */
void sample_file_lost(uint32_t weight);

/* Ends the file: its header is completed, it is cut to its length, and unmapped. For signal
 * handlers; changes errno. pre: no other thread samples. */
void sample_file_finish(void);

/* How many files of this process are kept (kept_files.h); 0: all of them. */
enum { SAMPLE_FILES_KEPT = 1000 }; /* at most */
void sample_file_keep(uint32_t most);

/* In a forked child, whose files are others: of the files that are kept, and of the present one. */
void sample_file_forget_kept(void);
void sample_file_forget(void);

#endif
