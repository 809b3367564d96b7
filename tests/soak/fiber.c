/* fiber.c - runs a function on a stack of its own, for program.py: run_on(stack's size, where, function).
 * Where it lies, in relation to the thread's own, is the hint's business. */
#include <stddef.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { GUARD = 1 << 16 };

struct fiber {
    ucontext_t outer, inner;
    void (*function)(void);
};

static void begin(unsigned high, unsigned low)
{
    struct fiber *fiber = (struct fiber *)((unsigned long)high << 32 | low);
    fiber->function();
}

int run_on(size_t size, unsigned long hint, void (*function)(void));
int run_on(size_t size, unsigned long hint, void (*function)(void))
{
    struct fiber fiber = {.function = function};
    char *memory = mmap((void *)hint, size + GUARD, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    mprotect(memory, GUARD, PROT_NONE);
    getcontext(&fiber.inner);
    fiber.inner.uc_stack.ss_sp = memory + GUARD;
    fiber.inner.uc_stack.ss_size = size;
    fiber.inner.uc_link = &fiber.outer;
    makecontext(&fiber.inner, (void (*)(void))begin, 2, (unsigned)((unsigned long)&fiber >> 32),
                (unsigned)(unsigned long)&fiber);
    swapcontext(&fiber.outer, &fiber.inner);
    munmap(memory, size + GUARD);
    return 0;
}
