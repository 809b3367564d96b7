/* test_image_exceptions.c - trampolines under libgcc's unwinder, which backtrace(3), C++
 * exceptions, pthread_exit and pthread_cancel use. Linked without libunwind, which has functions of
 * the same names, and compiled with -fexceptions. */
#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unwind.h>

#include "support/unwind.h"

static const int registers[] = UNWIND_REGISTERS;

struct walk {
    int frames;
    bool arrived;
    char wrong[100];
};

static _Unwind_Reason_Code on_frame(struct _Unwind_Context *context, void *data)
{
    struct walk *walk = data;
    uintptr_t ip = _Unwind_GetIP(context);
    if (walk->frames++ == 200)
        return _URC_END_OF_STACK;
    if (ip != (uintptr_t)unwind_return)
        return _URC_NO_REASON;
    walk->arrived = true;
    for (size_t i = 0; i < LENGTH_OF(registers); i++)
        if (_Unwind_GetGR(context, registers[i]) != unwind_known[i])
            snprintf(walk->wrong, sizeof walk->wrong, "register %d is %#lx, expected %#lx",
                     registers[i], _Unwind_GetGR(context, registers[i]), unwind_known[i]);
    /* the CFA of the frame below is the stack pointer at the call */
    if (_Unwind_GetCFA(context) != unwind_sp)
        snprintf(walk->wrong, sizeof walk->wrong, "stack is %#lx, expected %#lx",
                 _Unwind_GetCFA(context), unwind_sp);
    return _URC_END_OF_STACK;
}

static const char *unwind_here(void *context)
{
    static struct walk walk;
    (void)context; /* backtrace starts here and passes through the signal frame */
    memset(&walk, 0, sizeof walk);
    _Unwind_Backtrace(on_frame, &walk);
    if (!walk.arrived)
        snprintf(walk.wrong, sizeof walk.wrong, "the caller is not among %d frames", walk.frames);
    return *walk.wrong == '\0' ? NULL : walk.wrong;
}

TEST(from_each_instruction)
{
    assert_unwinds_at_each_step(unwind_here);
}

static void *addresses[64];
static int address_count;

static long take_backtrace(long a, long b, long c)
{
    address_count = backtrace(addresses, LENGTH_OF(addresses));
    return unwind_digits(a, b, c);
}

static int find_address(uintptr_t address)
{
    int i = address_count - 1;
    while (i >= 0 && (uintptr_t)addresses[i] != address)
        i--;
    return i;
}

TEST(backtrace_goes_through)
{
    struct image *image = make_image(1, unwind_plan());
    fill(image, 0, 3);
    unwind_callee = take_backtrace;
    ck_assert_int_eq(unwind_call(trampoline_function(image, 2), 0), 123);
    int trampoline = find_address(image_trampoline(image, 2) + UNWIND_RETURN);
    ck_assert_int_ge(trampoline, 2); /* below it take_backtrace and unwind_continue */
    ck_assert_uint_lt((uintptr_t)addresses[trampoline - 1] - (uintptr_t)unwind_continue, 64);
    ck_assert_ptr_eq(addresses[trampoline + 1], unwind_return);
    ck_assert_int_gt(address_count, trampoline + 2);
    char **symbols = backtrace_symbols(addresses, address_count);
    ck_assert_msg(strncmp(symbols[trampoline], image_path(image), strlen(image_path(image))) == 0,
                  "%s", symbols[trampoline]);
    free(symbols);
}

/* Recorded by the frames above the trampolines. */
static struct {
    int cleaned;
    bool returned;
    long token;
} thread_log;

static void clean(const long *token)
{
    thread_log.cleaned++;
    thread_log.token = *token;
}

static void clean_by_handler(void *unused)
{
    (void)unused;
    thread_log.cleaned++;
}

static void *call_slot(void *image)
{
    long token __attribute__((cleanup(clean), unused)) = 4711;
    pthread_cleanup_push(clean_by_handler, NULL);
    unwind_call(trampoline_function(image, 0), 0);
    trampoline_function(image, 1)(1, 2, 3);
    thread_log.returned = true;
    pthread_cleanup_pop(0);
    return NULL;
}

static long exit_thread(long a, long b, long c)
{
    (void)a, (void)b, (void)c;
    pthread_exit(&thread_log);
}

/* The first time nothing happens, so that the second trampoline is called directly from C. */
static long exit_thread_later(long a, long b, long c)
{
    unwind_callee = exit_thread;
    return unwind_digits(a, b, c);
}

static long wait_for_cancellation(long a, long b, long c)
{
    for (;;)
        pause();
    return a + b + c;
}

static void check_thread(evaluator *callee, bool cancel, void *expected)
{
    pthread_t thread;
    void *result;
    struct image *image = make_image(1, unwind_plan());
    fill(image, 0, 2);
    unwind_callee = callee;
    memset(&thread_log, 0, sizeof thread_log);
    ck_assert_int_eq(pthread_create(&thread, NULL, call_slot, image), 0);
    if (cancel)
        ck_assert_int_eq(pthread_cancel(thread), 0);
    ck_assert_int_eq(pthread_join(thread, &result), 0);
    ck_assert_ptr_eq(result, expected);
    ck_assert_int_eq(thread_log.cleaned, 2);
    ck_assert_int_eq(thread_log.token, 4711);
    ck_assert(!thread_log.returned);
}

TEST(threads_end_through_slots)
{
    check_thread(exit_thread, false, &thread_log);
    check_thread(exit_thread_later, false, &thread_log);
    check_thread(wait_for_cancellation, true, PTHREAD_CANCELED);
}

static jmp_buf jump;

static long jump_out(long a, long b, long c)
{
    longjmp(jump, (int)(a + b + c));
}

TEST(longjmp_goes_over)
{
    struct image *image = make_image(1, unwind_plan());
    fill(image, 0, 1);
    unwind_callee = jump_out;
    for (volatile int i = 0; i < 3; i++) {
        int result = setjmp(jump);
        if (result == 0)
            trampoline_function(image, 0)(1, 2, i);
        ck_assert_int_eq(result, 3 + i);
    }
}

/* libgcc's, for unwind data without a file. */
extern void __register_frame(void *);
extern void __deregister_frame(void *);

static uint32_t read4(const uint8_t *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* image_trampoline_unwind: the trampoline at the beginning of a page, the rest of the text of `perf
 * inject`, and then the unwind data. */
TEST(unwind_data_of_one_slot)
{
    enum { SIZE = ARCH_TRAMPOLINE_SIZE };
    static const size_t sizes[] = {SIZE, SIZE + 13, SIZE + 16, SIZE + 24};
    for (size_t i = 0; i < LENGTH_OF(sizes); i++) {
        uint8_t *page =
            mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        uint8_t *unwind = page + ((sizes[i] + 7) & ~7ul), data[IMAGE_TRAMPOLINE_UNWIND_MAX];
        size_t header_size, size = image_trampoline_unwind(data, sizes[i], &header_size);
        const uint8_t *header = unwind + size - header_size;
        uintptr_t target = (uintptr_t)take_backtrace;
        ck_assert_uint_le(size, sizeof data);
        ck_assert_uint_eq(header_size, 20);
        arch_put_trampoline(page, 0, 2048, false);
        arch_put_jump(page + 2048, 2048, 3072);
        memcpy(page + 3072, &target, sizeof target);
        memcpy(unwind, data, size);
        arch_synchronise((uintptr_t)page, 4096);
        ck_assert_int_eq(mprotect(page, 4096, PROT_READ | PROT_EXEC), 0);

        /* .eh_frame_hdr: LSB core, 10.6.2; version, three encodings, then offsets */
        ck_assert_mem_eq(header, "\x01\x1b\x03\x3b", 4);
        ck_assert_ptr_eq(header + 4 + (int32_t)read4(header + 4), unwind);
        ck_assert_uint_eq(read4(header + 8), 1);
        ck_assert_ptr_eq(header + (int32_t)read4(header + 12), page);
        const uint8_t *fde = header + (int32_t)read4(header + 16);
        ck_assert_ptr_eq(fde + 4 - read4(fde + 4), unwind);        /* its CIE */
        ck_assert_ptr_eq(fde + 8 + (int32_t)read4(fde + 8), page); /* its code */
        ck_assert_uint_eq(read4(fde + 12), sizes[i]);
        ck_assert_uint_eq(read4(fde + 4 + read4(fde)), 0); /* the end */
        ck_assert_ptr_eq(fde + 4 + read4(fde) + 4, header);

        evaluator *trampoline;
        memcpy(&trampoline, &page, sizeof trampoline);
        __register_frame(unwind);
        ck_assert_int_eq(unwind_call(trampoline, 0), 123);
        __deregister_frame(unwind);
        int found = find_address((uintptr_t)page + UNWIND_RETURN);
        ck_assert_int_ge(found, 1);
        ck_assert_ptr_eq(addresses[found + 1], unwind_return);
    }
}
