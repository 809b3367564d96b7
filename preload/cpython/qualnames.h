/* qualnames.h - the qualified name of a code object, where CPython keeps none.
 *
 * From 3.11 on it is in the code object. Before, a code object knows only its own name, but the
 * functions that it defines are made by running it. So when a class body or a function runs for the
 * first time, each code object among its constants gets a note of what its name begins with:
 *
 *     class Order:                  code "Order" runs: its constants get    ENCLOSED | "Order."
 *         def total(self):          code "total" runs: its constants get    ENCLOSED | "Order.total.<locals>."
 *             rebate = lambda: ...
 *
 * For code objects that were defined while profiling was off, all function objects are asked for
 * their __qualname__ once, at the first new function (a scan). 2.7 has no __qualname__: there the
 * functions in each class are asked.
 *
 * Notes are kept with the code object (code_tags.h). All of it is used under the interpreter's lock;
 * versions before 3.11 have one. */
#ifndef PYPERF_QUALNAMES_H
#define PYPERF_QUALNAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/cpython/names.h"
#include "preload/cpython/python.h"

/* Before an interpreter's first frame: there are no functions yet. */
void qualnames_start(void);

/* Functions are defined from now on without being seen. */
void qualnames_missed(void);

/* Before profiling is switched on by the program: imports what a scan needs. False, with an
 * exception, when that cannot be done. */
bool qualnames_prepare(void);

/* For a frame that is not profiled, while it may still turn out that the next ones are: notes what
 * the names of those begin with that it defines. Keeps the pending exception. */
void qualnames_see(const python_object *code);

/* Scans if one is due and the code object has no note. May run finalizers, that is Python code;
 * leaves no exception. */
void qualnames_scan(const python_object *code);

/* Appends the qualified name, as far as it can be known, of a code object that has this value. Runs
 * no Python code. */
void qualnames_put(struct name *name, const python_object *code, uint64_t value);

/* Appends a string object's characters. */
void qualnames_put_string(struct name *name, python_object *string);

/* The code object, whose qualified name this is, runs: notes in the code objects among its constants
 * what their names begin with. Nothing from 3.11 on. May run finalizers. */
void qualnames_note(const python_object *code, const char *qualname, size_t length);

#endif
