/* hook_variants.h - the ways from a frame to co_extra, for C and for assembly.
 *
 * The columns: a name; which argument of the evaluator is the frame; the offsets, in bytes, of the
 * code object's pointer in the frame and of co_extra in the code object; 1 if ce_extras is a
 * pointer to the array, not the array itself; 1 to check the stack pointer; 1 if the code object's
 * pointer has tags in its lowest two bits. preload/cpython/layout.c has these numbers and their
 * sources for each CPython; hook_find finds the variant of a row.
 *
 * An offset of 0 for co_extra means that there is none: the value is in a table (hook.h, struct
 * hook_code). */
#ifndef PYPERF_HOOK_VARIANTS_H
#define PYPERF_HOOK_VARIANTS_H

#define HOOK_CODE_SHIFT     7 /* a code object of 2.7 has 128 bytes */
#define HOOK_CODE_BITS      16
#define HOOK_CODE_SIZE_BITS 4

/* clang-format off */
#define HOOK_VARIANTS(X)                                \
    X(hook_2_7,  0, 32,   0, 0, 0, 0)                   \
    X(hook_2_7d, 0, 48,   0, 0, 0, 0) /* Py_TRACE_REFS */ \
    X(hook_3_6,  0, 32, 136, 1, 0, 0)                   \
    X(hook_3_7,  0, 32, 136, 0, 0, 0)                   \
    X(hook_3_8,  0, 32, 144, 0, 0, 0)                   \
    X(hook_3_9,  1, 32, 144, 0, 0, 0) /* and 3.10 */    \
    X(hook_3_11, 1, 32, 176, 0, 1, 0)                   \
    X(hook_3_12, 1,  0, 184, 0, 1, 0)                   \
    X(hook_3_13, 1,  0, 192, 0, 1, 0)                   \
    X(hook_3_14, 1,  0, 200, 0, 1, 1) /* and 3.15 */
/* clang-format on */

#endif
