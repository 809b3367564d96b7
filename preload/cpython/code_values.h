/* code_values.h - a number for each code object, which the hook reads, and which has the code
 * object's lifetime.
 *
 *     from 3.6 on   in the code object's own co_extra
 *     2.7           in a table of ours by the code object's address (code_table.h). The entry
 *                   is removed when the object dies: ours replaces the type's destructor
 *
 *         PyCode_Type.tp_dealloc --> forget_and_deallocate --> what was there: code_dealloc
 *
 * A type object is data. The destructor is replaced before the first value is set, and stays. */
#ifndef PYPERF_CODE_VALUES_H
#define PYPERF_CODE_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "preload/cpython/python.h"

/* In an interpreter's first frame, before another tool can request an index of co_extra. */
void code_values_begin(void);

/* Whether 2.7's code objects are freed through the destructor in their type; tested without a
 * lasting change. */
bool code_values_confirm(void);

/* 0 where nothing was set; from 3.6 on it may be another tool's. */
uint64_t code_values_get(const python_object *code);

/* Sets the value in the current interpreter. Another tool's value stays. If the value cannot be
 * set, the code object has none afterwards. Leaves no exception. May run finalizers. */
void code_values_set(python_object *code, uint64_t value);

/* In 2.7: shows the valid value to the hook, so that the next frame takes the fast path. */
void code_values_show(const python_object *code, uint64_t value);

#endif
