/* hook_variants.h - the ways from a frame to co_extra, for C and for assembly.
 *
 * A name; which argument of the evaluator is the frame; the offsets, in bytes, of the code object's
 * pointer in the frame and of co_extra in the code object; 1 where ce_extras is a pointer to the
 * array and not the array itself; 1 to look at the stack pointer; 1 where the code object's pointer
 * has tags in its lowest two bits. Which CPython has which, and
 * where that is known from, is in preload/layout.c: hook_find takes the one that fits a row. */
#ifndef PYPERF_HOOK_VARIANTS_H
#define PYPERF_HOOK_VARIANTS_H

/* clang-format off */
#define HOOK_VARIANTS(X)                                \
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
