/* unwind.c - without a trap flag, which user mode does not have here: a breakpoint is written over each
 * word in turn, and taken out by the handler. */
#include "support/unwind.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "trampoline/base/page.h"
#include "trampoline/code_memory.h"
#include "trampoline/plan/call_frame.h"

enum { WORD = 4 };

/* One row for each instruction; unwind_continue then changes x19, x20 and x29, so that only the stack has
 * the caller's. */
static const uint32_t prologue[] = {
    0xa9bd7bfd, /* stp x29, x30, [sp, #-48]! */
    0xa90153f3, /* stp x19, x20, [sp, #16] */
};

long unwind_digits(long a, long b, long c)
{
    return 100 * a + 10 * b + c;
}

const struct detour_plan *unwind_plan(void)
{
    static struct detour_plan plan;
    plan = plan_of((const uint8_t *)prologue, sizeof prologue, (uintptr_t)unwind_continue);
    struct call_frame frame;
    size_t length = plan.relocated_length;
    call_frame_begin(&frame, &plan);
    plan.relocated_length = WORD;
    ck_assert(call_frame_lower(&frame, 48));
    ck_assert(call_frame_save(&frame, 29, 0) && call_frame_save(&frame, 30, 8));
    plan.relocated_length = 2 * WORD;
    ck_assert(call_frame_save(&frame, 19, 16) && call_frame_save(&frame, 20, 24));
    plan.relocated_length = length;
    unwind_callee = unwind_digits;
    return &plan;
}

static struct {
    uintptr_t at;
    uint32_t word; /* that the breakpoint has replaced */
    bool arrived;
    char complaint[200];
} step;

static const char *(*unwinder)(void *context);

/* No assertions here: it may interrupt any code. */
static void on_breakpoint(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    if (((ucontext_t *)context)->uc_mcontext.pc != step.at)
        return;
    step.arrived = true;
    code_memory_write(step.at, &step.word, sizeof step.word);
    const char *wrong = unwinder(context);
    if (wrong != NULL)
        snprintf(step.complaint, sizeof step.complaint, "%s", wrong);
}

/* All words but the last `unused` are executed. */
static void step_through(evaluator *function, uintptr_t size, uintptr_t unused)
{
    static const uint32_t breakpoint = 0xd4200000; /* brk 0 */
    struct sigaction action = {.sa_sigaction = on_breakpoint, .sa_flags = SA_SIGINFO}, before;
    ck_assert_int_eq(sigaction(SIGTRAP, &action, &before), 0);
    for (uintptr_t offset = 0; offset < size - unused * WORD; offset += WORD) {
        memset(&step, 0, sizeof step);
        step.at = (uintptr_t)function + offset;
        memcpy(&step.word, (const void *)step.at, sizeof step.word);
        ck_assert_uint_eq(code_memory_write(step.at, &breakpoint, WORD), WORD);
        long result = unwind_call(function, 0);
        ck_assert_int_eq(result, 123);
        ck_assert_msg(step.arrived, "offset %zu is not executed", offset);
        ck_assert_msg(*step.complaint == '\0', "offset %zu: %s", offset, step.complaint);
    }
    ck_assert_int_eq(sigaction(SIGTRAP, &before, NULL), 0);
}

/* It has no landing pad, because only trampolines call it: the page is made an unguarded one. */
static evaluator *home_of(const struct image *image)
{
    evaluator *function;
    uintptr_t start = image_trampoline(image, 0) - IMAGE_TEXT_OFFSET;
    uintptr_t address = start + IMAGE_PROLOGUE_OFFSET;
    ck_assert_int_eq(mprotect((void *)start, page_size(), PROT_READ | PROT_EXEC), 0);
    memcpy(&function, &address, sizeof function);
    return function;
}

void assert_unwinds_at_each_step(const char *(*unwind)(void *context))
{
    enum { UNUSED = 2 }; /* words at a trampoline's end */
    static const uint32_t trampolines[] = {0, 1, 2, 15, 16, 255, 4095, 4096, IMAGE_TRAMPOLINES - 1};
    unwinder = unwind;
    struct image *image = NULL;
    for (int unlinked = 1; unlinked >= 0; unlinked--) {
        struct detour_plan plan = *unwind_plan();
        plan.unlinked = unlinked;
        image = make_image(1, &plan);
        fill(image, 0, IMAGE_TRAMPOLINES);
        for (size_t i = 0; i < LENGTH_OF(trampolines); i++)
            step_through(trampoline_function(image, trampolines[i]), ARCH_TRAMPOLINE_SIZE, UNUSED);
    }
    step_through(home_of(image), sizeof prologue + ARCH_JUMP_SIZE, 0);
    image = make_image(1, plan_fixed_at(unwind_digits));
    step_through(home_of(image), ARCH_JUMP_SIZE, 0);
}
