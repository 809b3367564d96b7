/* pyperf-walk.c - a stack as libunwind sees it from within the process: pyperf-run --doctor loads
 * this into a program in Python, with ctypes, and asks which functions it is in. */
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
 * of frames when libunwind saw the end of the stack, else what unw_step said, which is negative:
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
