/* process_end.h - is told before the program ends without a libc's exit, or becomes another one.
 *
 * The pointers of all mapped objects to _exit and exec (elf_got.h) lead to functions of ours. A
 * program that is killed, or calls the kernel itself, is not noticed. */
#ifndef PYPERF_PROCESS_END_H
#define PYPERF_PROCESS_END_H

/* From now on calls `ends` before such a call, also in forked children and in those that share the
 * memory (vfork). Takes the loader's lock. */
void process_end_watch(void (*ends)(void));

/* `ends` is not called any more. The pointers stay ours: an object may have been unloaded. */
void process_end_leave(void);

#endif
