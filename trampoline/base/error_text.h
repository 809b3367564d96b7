/* error_text.h - what an errno value means, for a message. */
#ifndef PYPERF_ERROR_TEXT_H
#define PYPERF_ERROR_TEXT_H

/* In English where the libc can say so (glibc from 2.32 on: strerrordesc_np), else as strerror(3)
 * does. NULL for a value that means nothing, where the libc says so. */
const char *error_text(int error);

#endif
