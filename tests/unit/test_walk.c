/* test_walk.c - real stacks: each frame is the one that libunwind finds, and a stack that is
 * compared with the last one is the same as one that is walked afresh. */
#define UNW_LOCAL_ONLY
#include <libunwind.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include "arch_unwind.h"
#include "support/guarded.h"
#include "support/unwind.h"
#include "trampoline/base/clock.h"
#include "trampoline/unwind/walk.h"

/* realigned.S */
typedef void (*caller)(void (*callback)(void));
void call_aligned(caller function, void (*callback)(void));
void realigned(void (*callback)(void));
void through_another(void (*callback)(void));

static struct unwind_stack walked, fresh;
static char complaint[300];
static volatile int walks; /* volatile: raise(3) is declared not to call back */
static volatile bool with_libunwind = true;
static volatile bool is_fiber;

static void none_seen(const struct code_mapping *mapping, const char *path)
{
    (void)mapping, (void)path;
}

/* Runs in signal handlers, which may interrupt any code: no assertions. */
#define COMPLAIN(...)                                                                              \
    do {                                                                                           \
        if (*complaint == '\0')                                                                    \
            snprintf(complaint, sizeof complaint, __VA_ARGS__);                                    \
    } while (0)

static void compare_with_fresh(const struct unwind_stack *stack)
{
    if (stack->count != fresh.count || stack->cut != fresh.cut)
        COMPLAIN("walk %d: %u frames, cut %d; afresh %u, cut %d", walks, stack->count, stack->cut,
                 fresh.count, fresh.cut);
    for (uint32_t i = 0; i < stack->count && i < fresh.count; i++) {
        const struct unwind_registers *one = &stack->frames[i].registers,
                                      *other = &fresh.frames[i].registers;
        if (one->pc != other->pc || one->sp != other->sp || one->fp != other->fp ||
            unwind_cfa(stack, i) != unwind_cfa(&fresh, i) ||
            unwind_address(stack, i) != unwind_address(&fresh, i))
            COMPLAIN("walk %d: frame %u of %u: %#lx at %#lx, afresh %#lx at %#lx", walks, i,
                     stack->count, one->pc, one->sp, other->pc, other->sp);
    }
}

static void compare_with_libunwind(void *context)
{
    unw_cursor_t cursor;
    unw_word_t ip, sp;
    uint32_t left = fresh.count;
    if (unw_init_local2(&cursor, context, UNW_INIT_SIGNAL_FRAME) != 0)
        COMPLAIN("libunwind does not start");
    do {
        unw_get_reg(&cursor, UNW_REG_IP, &ip);
        unw_get_reg(&cursor, UNW_REG_SP, &sp);
        if (ip == 0)
            break;
        if (left == 0) {
            if (fresh.count < UNWIND_FRAMES)
                COMPLAIN("walk %d: libunwind has more than %u frames: %#lx", walks, fresh.count,
                         ip);
            return;
        }
        const struct unwind_registers *registers = &fresh.frames[--left].registers;
        if (registers->pc != ip || registers->sp != sp)
            COMPLAIN("walk %d: frame %u of %u: %#lx at %#lx, libunwind: %#lx at %#lx", walks,
                     fresh.count - left, fresh.count, registers->pc, registers->sp, ip, sp);
    } while (unw_step(&cursor) > 0);
    if (left != 0)
        COMPLAIN("walk %d: libunwind has %u frames, not %u", walks, fresh.count - left,
                 fresh.count);
}

static void check_walks(void *context)
{
    uint64_t now = clock_now();
    walks++;
    unwind_walk(&walked, context, now, none_seen);
    fresh.count = 0;
    unwind_walk(&fresh, context, now, none_seen);
    compare_with_fresh(&walked);
    /* glibc's makecontext leaves no end that unwind data tell */
    bool no_end = is_fiber && !ARCH_FRAME_POINTER_ENDS;
    if (fresh.cut != no_end && fresh.count < UNWIND_FRAMES)
        COMPLAIN("walk %d: cut after %u frames, %#lx", walks, fresh.count,
                 fresh.frames[0].registers.pc);
    if (with_libunwind && is_fiber == no_end) /* it goes on behind the fiber's end */
        compare_with_libunwind(context);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    int saved = errno;
    check_walks(context);
    errno = saved;
}

static void handle(int number, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};
    ck_assert_int_eq(sigaction(number, &action, NULL), 0);
}

static void begin(void)
{
    ck_assert(unwind_start());
    handle(SIGUSR1, on_signal, 0);
}

static void end(void)
{
    unwind_finish();
    ck_assert_str_eq(complaint, "");
}

__attribute__((noinline)) static void interrupt(void)
{
    raise(SIGUSR1);
    __asm__ volatile("" ::: "memory");
}

int main(void)
{
    return run_tests(begin, end, TEST_SECONDS);
}

TEST(a_function)
{
    interrupt();
    ck_assert_int_eq(walks, 1);
    ck_assert(!walked.cut);
    ck_assert_uint_gt(walked.count, 3);
    ck_assert(walked.frames[walked.count - 1].exact && !walked.frames[0].exact);
}

static void on_other_signal(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info, (void)context;
    interrupt();
}

static char alternate[1 << 16];

/* A handler, on the same stack or on another, is interrupted itself. */
TEST_FOR_EACH(in_a_signal_handler, 2)
{
    const stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    ck_assert_int_eq(sigaltstack(&stack, NULL), 0);
    handle(SIGUSR2, on_other_signal, _i == 0 ? 0 : SA_ONSTACK);
    for (int i = 0; i < 3; i++)
        raise(SIGUSR2);
    ck_assert_int_eq(walks, 3);
    int interrupted = 0;
    for (uint32_t i = 0; i < walked.count; i++)
        interrupted += walked.frames[i].exact;
    ck_assert_int_eq(interrupted, 2);
}

static void *run_thread(void *unused)
{
    interrupt();
    return unused;
}

TEST(in_a_thread)
{
    pthread_t thread;
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(pthread_create(&thread, NULL, run_thread, NULL), 0);
        ck_assert_int_eq(pthread_join(thread, NULL), 0);
        interrupt();
    }
    ck_assert_int_eq(walks, 6);
}

static ucontext_t fiber, back;

static void run_fiber(void)
{
    for (int i = 0; i < 3; i++) {
        is_fiber = true;
        interrupt();
        is_fiber = false;
        swapcontext(&fiber, &back);
    }
}

static void make_fiber(void)
{
    static char memory[1 << 16];
    ck_assert_int_eq(getcontext(&fiber), 0);
    fiber.uc_stack = (stack_t){.ss_sp = memory, .ss_size = sizeof memory};
    fiber.uc_link = &back;
    makecontext(&fiber, run_fiber, 0);
}

TEST(in_a_fiber)
{
    make_fiber();
    for (int i = 0; i < 3; i++) {
        swapcontext(&back, &fiber);
        interrupt();
    }
    ck_assert_int_eq(walks, 6);
}

/* Stack shapes */

typedef void shape(const uint8_t *rest, size_t count);
static shape small, large, framed, twice;
static shape *const shapes[] = {small, large, framed, twice};

__attribute__((noinline)) static void descend(const uint8_t *rest, size_t count)
{
    if (count == 0)
        interrupt();
    else
        shapes[*rest % LENGTH_OF(shapes)](rest + 1, count - 1);
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void small(const uint8_t *rest, size_t count)
{
    descend(rest, count);
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) static void large(const uint8_t *rest, size_t count)
{
    volatile char room[200];
    room[count % sizeof room] = 1;
    descend(rest, count);
    room[0] = 2;
}

/* Whose frame has a size that only the frame pointer tells. */
__attribute__((noinline)) static void framed(const uint8_t *rest, size_t count)
{
    volatile char *room = __builtin_alloca(16 + count % 5 * 16);
    room[0] = 1;
    descend(rest, count);
    room[0] = 2;
}

__attribute__((noinline)) static void twice(const uint8_t *rest, size_t count)
{
    descend(rest, count / 2);
    descend(rest, count);
    __asm__ volatile("" ::: "memory");
}

TEST(random_shapes)
{
    int rounds = under_valgrind() ? 20 : 1500;
    uint8_t path[24];
    memset(path, 1, sizeof path);
    srandom(4711);
    for (int i = 0; i < rounds; i++) {
        /* Most of it is as it was; the end differs. */
        size_t count = 1 + (size_t)random() % sizeof path, from = (size_t)random() % sizeof path;
        for (size_t j = from; j < sizeof path; j++)
            path[j] = (uint8_t)(random() % 16 == 0 ? 3 : random() % 3);
        with_libunwind = i % 16 == 0;
        descend(path, count);
    }
    ck_assert_int_ge(walks, rounds);
}

/* Frames with the same registers, called by others: the CFA is in memory. */
TEST(same_registers_other_callers)
{
    static const caller callers[] = {realigned, through_another};
    for (int i = 0; i < 10; i++)
        call_aligned(callers[i % 2], interrupt);
    ck_assert_int_eq(walks, 10);
}

/* Deep recursion */

enum { DEEP = UNWIND_FRAMES + 100 };
static bool wants(int depth)
{
    return depth == 10 || depth == UNWIND_FRAMES - 50 || depth == UNWIND_FRAMES + 10 ||
           depth == UNWIND_FRAMES + 11 || depth == DEEP;
}

__attribute__((noinline)) static void recurse(int depth)
{
    if (wants(depth))
        interrupt();
    if (depth < DEEP)
        recurse(depth + 1);
    if (wants(depth))
        interrupt();
    __asm__ volatile("" ::: "memory");
}

TEST(more_frames_than_are_kept)
{
    recurse(0);
    ck_assert_int_eq(walks, 10);
    interrupt();
    ck_assert(!walked.cut);
}

/* What another thread prevents is not remembered. */

static struct unwind_stack other;
#define LATER (UINT64_C(1) << 62) /* so late that the map looks again */
static void *present;
static volatile bool was_cut;

static void walk_meanwhile(const struct code_mapping *mapping, const char *path)
{
    (void)mapping, (void)path;
    unwind_walk(&other, present, clock_now(), none_seen);
    was_cut = other.cut;
}

static void on_busy(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    present = context;
    unwind_walk(&walked, context, LATER, walk_meanwhile);
    fresh.count = 0;
    unwind_walk(&fresh, context, clock_now(), none_seen);
    unwind_walk(&other, context, clock_now(), none_seen);
    compare_with_fresh(&other);
}

TEST(a_busy_map)
{
    make_fiber();
    swapcontext(&back, &fiber); /* the rules of `interrupt` and further in are known now */
    code_map_forget();          /* what is known is found, busy or not */
    handle(SIGUSR1, on_busy, 0);
    interrupt();
    ck_assert(was_cut);
    ck_assert(!fresh.cut);
}

/* Each instruction */

static long stepped(long a, long b, long c)
{
    static char text[64];
    static volatile size_t length;
    snprintf(text, sizeof text, "%ld", a); /* through .plt */
    length = strlen(text) + (size_t)strtol(text, NULL, 10);
    call_aligned(realigned, (void (*)(void))(uintptr_t)abs);
    return (long)length + 10 * b + c;
}

TEST(each_instruction)
{
    if (under_valgrind() || UNWIND_TRAP_FLAG == 0) {
        skip("single steps", "a program cannot ask for them here: no trap flag");
        return;
    }
    interrupt();
    handle(SIGTRAP, on_signal, 0);
    ck_assert_int_eq(unwind_call(stepped, UNWIND_TRAP_FLAG), 25);
    ck_assert_int_gt(walks, 200);
    printf("%d instructions\n", walks);
}

/* Where memory ends */

static void walk_from(uintptr_t pc, uintptr_t sp, uintptr_t fp)
{
    ucontext_t context;
    unwind_interrupted(&context, pc, sp, fp);
    unwind_walk(&walked, &context, clock_now(), none_seen);
    walks++;
}

static uintptr_t function_of(int number)
{
    static const uintptr_t functions[] = {(uintptr_t)snprintf,  (uintptr_t)qsort,
                                          (uintptr_t)realigned, (uintptr_t)framed,
                                          (uintptr_t)stepped,   (uintptr_t)raise};
    return functions[number % LENGTH_OF(functions)] + (uintptr_t)(number % 61);
}

TEST(stacks_where_memory_ends)
{
    uintptr_t last = (uintptr_t)guarded_end();
    for (uintptr_t distance = 0; distance < 256; distance++)
        for (int i = 0; i < 61; i += 5) {
            walk_from(function_of(i), last - distance, last - distance);
            walk_from(function_of(i), last - GUARDED_SIZE - distance, last - 8);
            walk_from(function_of(i), last - 512, last - distance);
        }
    walk_from(function_of(1), 0, 0);
    walk_from(function_of(1), UINTPTR_MAX - 7, UINTPTR_MAX - 7);
    walk_from(0, last - 64, 0);
    walk_from(UINTPTR_MAX, last - 64, 0);
}

/* Words that may be anything: return addresses, addresses of the stack, or none. */
TEST(stacks_of_garbage)
{
    uintptr_t *words = (uintptr_t *)(guarded_end() - GUARDED_SIZE);
    size_t count = GUARDED_SIZE / sizeof *words;
    srandom(4711);
    for (int i = 0; i < (under_valgrind() ? 20 : 2000); i++) {
        for (size_t j = 0; j < count; j += 1 + (size_t)random() % 3)
            words[j] = random() % 2   ? function_of((int)random() % 1000)
                       : random() % 4 ? (uintptr_t)(words + (size_t)random() % (count + 64))
                                      : (uintptr_t)random() << (random() % 40);
        for (int j = 0; j < 5; j++)
            walk_from(function_of((int)random() % 1000), (uintptr_t)(words + random() % 256),
                      (uintptr_t)(words + random() % 256));
    }
}
