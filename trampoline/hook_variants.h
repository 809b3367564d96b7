/* hook_variants.h - the ways from a frame to co_extra, for C and for assembly.
 *
 * A name; which argument of the evaluator is the frame; the offsets, in bytes, of the code object's
 * pointer in the frame and of co_extra in the code object; 1 where ce_extras is a pointer to the
 * array and not the array itself; 1 to look at the stack pointer; 1 where the code object's pointer
 * has tags in its lowest two bits. Which CPython has which, and
 * where that is known from, is in preload/layout.c: hook_find takes the one that fits a row.
 *
 * With 0 for its offset there is no co_extra: the value is in a table (hook.h, struct hook_code). */
#ifndef PYPERF_HOOK_VARIANTS_H
#define PYPERF_HOOK_VARIANTS_H

#define HOOK_CODE_SHIFT     7 /* 128 bytes is the size of a code object in 2.7 */
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
