/* later_libc.h - functions of the building machine's libc that others have under another name, or have
 * not got. They are defined in later_libc.c under their own names. */
#ifndef PYPERF_LATER_LIBC_H
#define PYPERF_LATER_LIBC_H

/* Looks for those of the process's libc, once. The first call of stat and its kin does so, too; but in
 * a forked child another thread may have left the loader's lock locked, which the search takes. */
void later_libc_find(void);

#endif
