/* code_values.h - a number for each code object, which the hook reads, and which is gone when the
 * code object is.
 *
 *     from 3.6 on   in the code object's own co_extra
 *     2.7           in a table of ours by the code object's address (code_table.h). The entry goes
 *                   when the object dies: the destructor in the type object leads to us first
 *
 *         PyCode_Type.tp_dealloc --> forget_and_destroy --> what was there: code_dealloc
 *
 * A type object is data. The destructor is put in before the first value is, and stays. */
#ifndef PYPERF_CODE_VALUES_H
#define PYPERF_CODE_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/cpython/python.h"

/* In the first frame of an interpreter's life, before anybody else can ask for a place. */
void code_values_begin(void);

/* Whether 2.7's code objects die by way of the destructor in their type, as far as has been seen
 * without changing anything for good. */
bool code_values_confirm(void);

/* 0 where nothing was set; from 3.6 on it may be somebody else's. */
uint64_t code_values_get(const python_object *code);

/* In whatever interpreter is the current one. Somebody else's value stays. Where it cannot be done,
 * nothing is known of the code object afterwards; leaves no exception. May run finalizers. */
void code_values_set(python_object *code, uint64_t value);

/* The code object's value is that of a trampoline in force, and has just come the slow way. */
void code_values_show(const python_object *code, uint64_t value);

#endif
