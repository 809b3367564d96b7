/* interned.h - texts that stay for as long as the process lives, each of them once.
 *
 * What names begin with is kept here (functions.h). A program that compiles the same template on
 * each request keeps the same few texts however often it does. */
#ifndef PYPERF_TEXTS_H
#define PYPERF_TEXTS_H

#include <stddef.h>

/* A copy, NUL terminated, of `length` bytes that hold no NUL; the same one for the same text. NULL
 * when there is no memory, or the text is longer than 65,535 bytes. Under the interpreter's lock.
 */
const char *intern(const char *text, size_t length);

#endif
