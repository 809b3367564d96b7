/* pyperf-walk.c - a stack by libunwind within the process: pyperf-run --doctor loads this into a
 * Python program, with ctypes, and gets the names of the functions on the stack. */
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { FRAMES_MAX = 1000 };

int pyperf_walk(char *names, size_t size);

/* Where the frame of a trampoline keeps its caller's rbp: on top of the stack. */
static bool saved_rbp_is_zero(unw_cursor_t *trampoline)
{
    unw_word_t sp = 0;
    return unw_get_reg(trampoline, UNW_REG_SP, &sp) == 0 && sp != 0 && *(const unw_word_t *)sp == 0;
}

/* Fills `names` with a line a frame, innermost first, "?" where there is no symbol; the last is
 * "rbp is 0" when the walk ended at a trampoline whose caller has that in rbp. Returns the number
 * of frames if libunwind reached the end of the stack, otherwise the negative result of unw_step:
 * the names are then those up to there. */
__attribute__((visibility("default"))) int pyperf_walk(char *names, size_t size)
{
    unw_context_t context;
    unw_cursor_t cursor, last;
    size_t used = 0;
    int frames = 0, step = 1;
    bool in_trampoline = false;
    unw_getcontext(&context);
    if (size == 0 || unw_init_local(&cursor, &context) != 0)
        return -UNW_EUNSPEC;
    *names = '\0';
    while (frames < FRAMES_MAX && (step = unw_step(&cursor)) > 0) {
        char name[512] = "?";
        unw_word_t offset;
        unw_get_proc_name(&cursor, name, sizeof name, &offset);
        int length = snprintf(names + used, size - used, "%s\n", name);
        if (length < 0 || (size_t)length >= size - used)
            return -UNW_ENOMEM;
        used += (size_t)length;
        frames++;
        in_trampoline = strncmp(name, "py::", 4) == 0;
        last = cursor;
    }
    if (step == 0 && in_trampoline && saved_rbp_is_zero(&last))
        snprintf(names + used, size - used, "rbp is 0\n");
    return step < 0 ? step : frames;
}
