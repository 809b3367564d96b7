/* qualnames.h - the qualified name of a code object, also in versions that do not store it.
 *
 * From 3.11 on it is in the code object. Before, a code object has only its own name, but functions
 * are made by running the enclosing code. So when a class body or a function runs for the first
 * time, each code object among its constants gets a note of its name's prefix:
 *
 *     class Order:                  code "Order" runs: its constants get    ENCLOSED | "Order."
 *         def total(self):          code "total" runs: its constants get    ENCLOSED | "Order.total.<locals>."
 *             rebate = lambda: ...
 *
 * For code objects that were defined while profiling was off, the __qualname__ of all function
 * objects is read once, at the first new function (a scan). 2.7 has no __qualname__: there the
 * functions of each class are found.
 *
 * Notes are kept with the code object (code_tags.h). All of it is used under the interpreter's
 * lock; versions before 3.11 have one. */
#ifndef PYPERF_QUALNAMES_H
#define PYPERF_QUALNAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/cpython/names.h"
#include "preload/cpython/python.h"

/* Before an interpreter's first frame: there are no functions yet. */
void qualnames_start(void);

/* From now on functions are defined without notes. */
void qualnames_missed(void);

/* Before the program switches profiling on: imports what a scan needs. False, with an exception,
 * when that fails. */
bool qualnames_prepare(void);

/* For a frame that is not profiled, before profiling is decided on: notes the prefix of the names
 * of the functions that it defines. Keeps the pending exception. */
void qualnames_see(const python_object *code);

/* Scans if one is due and the code object has no note. May run finalizers, that is Python code;
 * leaves no exception. */
void qualnames_scan(const python_object *code);

/* Whether a scan is due, and would find the name of the code object, which is a function's. */
bool qualnames_lacks(const python_object *code);

/* Scans if one is due. */
void qualnames_scan_now(void);

/* Appends the qualified name, as far as it is known, of a code object with this value. Runs
 * no Python code. */
void qualnames_put(struct name *name, const python_object *code, uint64_t value);

/* Appends a string object's characters. */
void qualnames_put_string(struct name *name, python_object *string);

/* The code object, with this qualified name, runs: gives the code objects among its constants notes
 * of their prefix. Does nothing from 3.11 on. May run finalizers. */
void qualnames_note(const python_object *code, const char *qualname, size_t length);

#endif
