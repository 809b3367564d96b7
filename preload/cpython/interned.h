/* interned.h - strings that are never freed, each stored once.
 *
 * Names of functions and files are kept here, and the prefixes of qualified names (qualnames.h). A
 * string has a number of 32 bits, so that equal strings have equal numbers. A program that compiles
 * the same template on each request keeps the same few strings however often it does.
 *
 * Threads: used under the interpreter's lock, and from 3.12 on, where interpreters may have a lock
 * each, under the profile's (profile.h). */
#ifndef PYPERF_INTERNED_H
#define PYPERF_INTERNED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The number of a string of `length` bytes that hold no NUL; the same one for the same string. 0
 * when there is no memory, the string is longer than 65,535 bytes, or there are 512 MiB already. */
uint32_t intern(const char *text, size_t length);

/* The string of a number that is not 0, NUL terminated. */
const char *interned(uint32_t number);

/* Whether it is the string of `length` bytes, which hold no NUL. */
bool interned_is(uint32_t number, const char *text, size_t length);

#endif
