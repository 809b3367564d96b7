/* test_fork_anywhere.c - a process forks at any moment, in a thread that takes no lock of ours:
 * strings and functions are complete in the child. Here it forks after every instruction (the trap
 * flag, Intel SDM vol. 3, 18.3.1.4), and each child checks them. */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload/cpython/interned.h"
#include "profile/files.h"
#include "trampoline/plan/elf_lookup.h"

/* The beginning of this program, to which addresses in its file are relative. */
extern const char __ehdr_start __attribute__((visibility("hidden")));

/* The variables of interned.c and registry.c, and their values one step before. */
static struct variable {
    char *at;
    size_t size;
    char before[128 << 10];
} variables[2];

static struct {
    int (*look)(void); /* in a child: 0, or the error found */
    int steps, forks, wrong, wrong_step;
} stepping;

static void find_variables(void)
{
    struct elf_symbol symbols[] = {{.name = "strings"}, {.name = "registry"}};
    ck_assert(elf_lookup("/proc/self/exe", NULL, NULL, symbols, LENGTH_OF(symbols), NULL));
    uintptr_t bias = (uintptr_t)&__ehdr_start;
    for (size_t i = 0; i < LENGTH_OF(symbols); i++) {
        ck_assert_uint_ne(symbols[i].address, 0);
        ck_assert_uint_le(symbols[i].size, sizeof variables[i].before);
        variables[i].at = (char *)bias + symbols[i].address;
        variables[i].size = symbols[i].size;
        memcpy(variables[i].before, variables[i].at, variables[i].size);
    }
}

/* Only after instructions that have changed something: the other children would be alike. */
static bool is_changed(void)
{
    bool changed = false;
    for (size_t i = 0; i < LENGTH_OF(variables); i++) {
        struct variable *one = &variables[i];
        if (memcmp(one->before, one->at, one->size) == 0)
            continue;
        memcpy(one->before, one->at, one->size);
        changed = true;
    }
    return changed;
}

static void forked_here(int number)
{
    (void)number;
    stepping.steps++;
    if (stepping.wrong != 0 || !is_changed())
        return;
    int saved = errno, status = 0;
    pid_t pid = _Fork();
    if (pid == 0)
        _exit(stepping.look());
    stepping.forks++;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    stepping.wrong = status;
    stepping.wrong_step = stepping.steps;
    errno = saved;
}

static void begin_steps(int (*look)(void))
{
    find_variables();
    stepping.look = look;
    stepping.steps = stepping.forks = stepping.wrong = 0;
    signal(SIGTRAP, forked_here);
    __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc");
}

static void end_steps(int least)
{
    __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc");
    signal(SIGTRAP, SIG_DFL);
    int wrong = stepping.wrong;
    ck_assert_msg(wrong == 0, "step %d: %s %d", stepping.wrong_step,
                  WIFEXITED(wrong) ? "found wrong:" : "killed by signal",
                  WIFEXITED(wrong) ? WEXITSTATUS(wrong) : WTERMSIG(wrong));
    ck_assert_int_ge(stepping.forks, least);
}

/* Strings of the parent: some hundred bytes each. */
enum { STRINGS = 3000 };
static uint32_t numbers[STRINGS];
static int count;

static size_t text_of(int i, char *text)
{
    memset(text, 'a' + i % 26, 200);
    return 150 + (size_t)snprintf(text + 150, 50, "%d", i);
}

static void add_string(void)
{
    char text[200];
    size_t length = text_of(count, text);
    numbers[count] = intern(text, length);
    __atomic_store_n(&count, count + 1, __ATOMIC_RELEASE); /* here, too, in this order */
}

/* The old strings keep their numbers, also when more are added. */
static int look_at_strings(void)
{
    char text[200];
    for (int pass = 0; pass < 2; pass++) {
        for (int i = count > 600 ? count - 600 : 0; i < count; i++) {
            size_t length = text_of(i, text);
            const char *there = interned(numbers[i]);
            if (strlen(there) != length || memcmp(there, text, length) != 0)
                return 1 + pass;
            if (intern(text, length) != numbers[i])
                return 3 + pass;
        }
        for (int i = 0; i < 20 && pass == 0; i++) {
            size_t length = text_of(1000000 + i, text);
            uint32_t number = intern(text, length);
            if (number == 0 || intern(text, length) != number)
                return 5;
        }
    }
    return 0;
}

/* Whether the next string goes to another block of memory than the last. */
static bool begins_a_block(void)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        const char *last = interned(numbers[count - 1]);
        add_string();
        _exit(interned(numbers[count - 1]) - last != 204 &&
              interned(numbers[count - 1]) - last != 156);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return status != 0;
}

/* AddressSanitizer adds memory behind variables and instructions before each access. */
static bool steps_are_skipped(void)
{
    if (under_address_sanitizer())
        skip("single steps", "AddressSanitizer");
    return under_address_sanitizer() || skip_under_valgrind();
}

TEST(new_strings)
{
    if (steps_are_skipped())
        return;
    while (count < 30)
        add_string();
    begin_steps(look_at_strings);
    add_string();
    end_steps(2);
    while (!begins_a_block())
        add_string();
    ck_assert_int_gt(count, 200);
    begin_steps(look_at_strings);
    add_string();
    end_steps(2);
}

/* The table of strings grows. */
TEST(wider_table)
{
    if (steps_are_skipped())
        return;
    while (count < 768)
        add_string();
    begin_steps(look_at_strings);
    add_string();
    end_steps(2);
    ck_assert_int_gt(stepping.steps, 10000);
}

static uint32_t ids[2000], id_count;

static int look_at_registry(void)
{
    registry_forked();
    for (uint32_t i = id_count > 20 ? id_count - 20 : 0; i < id_count; i++)
        if (registry_at(registry_address(ids[i])) != ids[i] || registry_function(ids[i])->line != i)
            return 1;
    if (registry_next(PROFILE_MAP, REGISTRY_NONE) != REGISTRY_NONE)
        return 2;
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t id = add_function(PROFILE_MAP, i);
        if (id == REGISTRY_NONE || add_function(PROFILE_MAP, i) != id)
            return 3;
        if (registry_function(id)->line != i || registry_at(registry_address(id)) != id)
            return 4;
    }
    return 0;
}

static void step_over_an_addition(void)
{
    begin_steps(look_at_registry);
    ids[id_count] = add_function(PROFILE_MAP, id_count);
    __atomic_store_n(&id_count, id_count + 1, __ATOMIC_RELEASE);
    end_steps(2);
}

TEST(functions)
{
    if (steps_are_skipped())
        return;
    start_registry();
    for (; id_count < 10; id_count++)
        ids[id_count] = add_function(PROFILE_MAP, id_count);
    step_over_an_addition();
    for (; id_count < 768; id_count++)
        ids[id_count] = add_function(PROFILE_MAP, id_count);
    step_over_an_addition(); /* both tables grow */
}
