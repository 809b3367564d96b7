#include "support/unwind.h"

#include <signal.h>
#include <stdio.h>
#include <ucontext.h>

#include "trampoline/plan/call_frame.h"

/* One row for each kind of instruction in a plan; then the registers get other values, so that only
 * the stack has the caller's. rbp is not zero: libunwind in its own process (1.6.2,
 * src/x86_64/Gstep.c) takes a zero that an expression gives, as in trampoline.S, for the end of the
 * stack; perf, which unwinds another process, does not. */
static const uint8_t prologue[] = {
    0x41, 0x57,                      /* push %r15 */
    0x6a, 0x01,                      /* push $1 */
    0x55,                            /* push %rbp */
    0x48, 0x81, 0xec, 0x80, 0, 0, 0, /* sub $0x80, %rsp */
    0x53,                            /* push %rbx */
    0x45, 0x31, 0xff,                /* xor %r15d, %r15d */
    0x89, 0xe5,                      /* mov %esp, %ebp */
    0x31, 0xdb,                      /* xor %ebx, %ebx */
};
static const struct {
    size_t offset, lower;
    unsigned saved; /* 0: none */
} rows[] = {{2, 8, 15}, {4, 8, 0}, {5, 8, 6}, {12, 128, 0}, {13, 8, 3}};

long unwind_digits(long a, long b, long c)
{
    return 100 * a + 10 * b + c;
}

const struct detour_plan *unwind_plan(void)
{
    static struct detour_plan plan;
    plan = plan_of(prologue, sizeof prologue, (uintptr_t)unwind_continue);
    struct call_frame frame;
    size_t length = plan.relocated_length;
    call_frame_begin(&frame, &plan);
    for (size_t i = 0; i < LENGTH_OF(rows); i++) {
        plan.relocated_length = rows[i].offset;
        ck_assert(call_frame_lower(&frame, rows[i].lower));
        ck_assert(rows[i].saved == 0 || call_frame_save(&frame, rows[i].saved, 0));
    }
    plan.relocated_length = length;
    unwind_callee = unwind_digits;
    return &plan;
}

static struct {
    uintptr_t start, size;
    uint8_t visited[64]; /* offsets, in order */
    size_t count;
    char complaint[200];
} steps;

static const char *(*unwinder)(void *context);

/* Runs after each instruction. No assertions here: it may interrupt any code. */
static void on_step(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info;
    uintptr_t ip = (uintptr_t)((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    if (ip - steps.start >= steps.size || steps.count == sizeof steps.visited)
        return;
    steps.visited[steps.count++] = (uint8_t)(ip - steps.start);
    const char *wrong = unwinder(context);
    if (wrong != NULL && *steps.complaint == '\0')
        snprintf(steps.complaint, sizeof steps.complaint, "offset %zu: %s", ip - steps.start,
                 wrong);
}

static void step_through(evaluator *function, uintptr_t size, const char *expected)
{
    char visited[4 * sizeof steps.visited + 1] = "", *at = visited;
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO}, before;
    memset(&steps, 0, sizeof steps);
    steps.start = (uintptr_t)function;
    steps.size = size;
    ck_assert_int_eq(sigaction(SIGTRAP, &action, &before), 0);
    long result = unwind_call(function, UNWIND_TRAP_FLAG);
    ck_assert_int_eq(sigaction(SIGTRAP, &before, NULL), 0);
    ck_assert_int_eq(result, 123);
    for (size_t i = 0; i < steps.count; i++)
        at += sprintf(at, i == 0 ? "%d" : " %d", steps.visited[i]);
    ck_assert_str_eq(steps.complaint, "");
    ck_assert_str_eq(visited, expected);
}

static evaluator *home_of(const struct image *image)
{
    evaluator *function;
    uintptr_t address = image_trampoline(image, 0) - IMAGE_TEXT_OFFSET + IMAGE_PROLOGUE_OFFSET;
    memcpy(&function, &address, sizeof function);
    return function;
}

void assert_unwinds_at_each_step(const char *(*unwind)(void *context))
{
    static const uint32_t trampolines[] = {0, 1, 2, 255, 4095, 4096, IMAGE_TRAMPOLINES - 1};
    if (under_valgrind()) {
        skip("single steps", "valgrind has no trap flag");
        return;
    }
    unwinder = unwind;
    struct image *image = NULL;
    for (int unlinked = 1; unlinked >= 0; unlinked--) {
        struct detour_plan plan = *unwind_plan();
        plan.unlinked = unlinked;
        image = make_image(1, &plan);
        fill(image, 0, IMAGE_TRAMPOLINES);
        for (size_t i = 0; i < LENGTH_OF(trampolines); i++)
            step_through(trampoline_function(image, trampolines[i]), ARCH_TRAMPOLINE_SIZE,
                         "0 4 5 8 13 14");
    }
    step_through(home_of(image), sizeof prologue + ARCH_JUMP_SIZE, "0 2 4 5 12 13 16 18 20");
    image = make_image(1, plan_fixed_at(unwind_digits));
    step_through(home_of(image), ARCH_JUMP_SIZE, "0");
}
