/* evaluator_code.h - whether a frame of machine code is the evaluator's.
 *
 * GCC with a profile (PGO) moves what hardly ever runs, such as the evaluator's handling of errors,
 * to another place: a part that has an FDE of its own, and a symbol, ".cold", only until it is
 * stripped. Conditional branches lead there from all over the evaluator, and compilers make no such
 * branch to another function, so most of those that leave the evaluator lead to this part. */
#ifndef PYPERF_EVALUATOR_CODE_H
#define PYPERF_EVALUATOR_CODE_H

#include <stdbool.h>
#include <stdint.h>

/* Finds the other part, if there is one; the first time it takes the loader's lock, and some
 * milliseconds. */
void evaluator_code_find(void);

/* The begin and the end of a part; false if there is none. */
enum { EVALUATOR_CODE_PARTS = 2 };
bool evaluator_code_part(unsigned part, uintptr_t *begin, uintptr_t *end);

/* Whether code at the address is the evaluator's; for signal handlers. */
bool evaluator_code_has(uintptr_t address);

/* Whether the address is where the evaluator sets up its C frame and links its first frame. */
bool evaluator_code_begins(uintptr_t address);

#endif
