/* test_detour_commit.c - the jump is written and taken out, and nothing else changes. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "code.h"
#include "support/support.h"
#include "trampoline/detour.h"
#include "trampoline/plan/relocate.h"

enum { PAGE = 4096 };

/* target.S of the CPU */
extern const uint8_t target_site[], crossing_site[];
long target(long x);
long target_stub(long x);
long target_undoing_stub(long x);
long comparing(long x);
long crossing(long x);

static struct detour_plan plan_for(const uint8_t *site, size_t length, uintptr_t stub)
{
    struct detour_plan plan = {.site = (uintptr_t)site, .length = length};
    memcpy(plan.original, site, length);
    relocate_jump(plan.jump, plan.site, stub, NULL);
    return plan;
}

static struct detour_plan target_plan(void)
{
    return plan_for(target_site, CODE_TARGET_LENGTH, (uintptr_t)target_stub);
}

static struct detour_plan crossing_plan(void)
{
    return plan_for(crossing_site, DETOUR_JUMP_LENGTH, (uintptr_t)target_stub);
}

/* The two pages that hold the site, as they are now. */
static void copy_pages(uint8_t copy[2 * PAGE], uintptr_t site)
{
    memcpy(copy, (const void *)(site & ~(uintptr_t)(PAGE - 1)), 2 * PAGE);
}

TEST(commits_and_reverts)
{
    struct detour_plan plan = target_plan();
    struct failure why = {.code = FAILURE_NONE};
    static uint8_t before[2 * PAGE], during[2 * PAGE], after[2 * PAGE];
    copy_pages(before, plan.site);
    ck_assert_int_eq(target(1), 2);
    for (int round = 0; round < 3; round++) {
        errno = EXFULL;
        ck_assert_msg(detour_commit(&plan, &why), "%s: %s", failure_message(why.code), why.what);
        ck_assert_int_eq(errno, EXFULL);
        ck_assert_int_eq(target(1), 1001);
        copy_pages(during, plan.site);
        ck_assert_mem_eq(target_site, plan.jump, DETOUR_JUMP_LENGTH);
        memcpy(during + (plan.site % PAGE), plan.original, DETOUR_JUMP_LENGTH);
        ck_assert_msg(memcmp(during, before, sizeof before) == 0, "other bytes changed as well");

        ck_assert_msg(detour_revert(&plan, &why), "%s: %s", failure_message(why.code), why.what);
        ck_assert_int_eq(errno, EXFULL);
        ck_assert_int_eq(target(1), 2);
        copy_pages(after, plan.site);
        ck_assert_mem_eq(after, before, sizeof before);
    }
    ck_assert_int_eq(why.code, FAILURE_NONE);
}

/* A function is replaced: the plan needs only its code. What the first instruction does stays done, or is
 * undone: a uprobe on the entry executes it elsewhere, and puts its first byte back when it goes. */
static void assert_replaced(long (*function)(long), size_t size, size_t stays, uintptr_t stub)
{
    struct detour_plan plan;
    struct failure why = {.code = FAILURE_NONE};
    uint8_t entry[16];
    memcpy(entry, (const void *)function, sizeof entry);
    ck_assert(detour_prepare_replacement(&plan, (const void *)function, size, (uintptr_t)function,
                                         stub, &why));
    ck_assert_uint_eq(plan.kept, stays);
    size_t pad = plan.site - stays - (uintptr_t)function;
    ck_assert_int_eq(function(1), 2);
    ck_assert(detour_commit(&plan, &why));
    ck_assert_int_eq(function(1), 1001);
    ck_assert_mem_eq((const void *)function, entry, pad + stays);
    ck_assert(detour_revert(&plan, &why));
    ck_assert_int_eq(function(1), 2);

    ck_assert(!detour_prepare_replacement(&plan, (const void *)function,
                                          pad + stays + DETOUR_JUMP_LENGTH - 1, (uintptr_t)function,
                                          stub, &why));
    ck_assert_int_eq(why.code, FAILURE_TOO_SHORT);
    ck_assert(!detour_prepare_replacement(&plan, (const void *)function, size, (uintptr_t)function,
                                          (uintptr_t)function + ((uintptr_t)4 << 30), &why));
    ck_assert_int_eq(why.code, FAILURE_JUMP_OUT_OF_REACH);
}

TEST(replaces_a_function)
{
    uintptr_t stub = (uintptr_t)target_stub;
    uintptr_t undone = (uintptr_t)target_undoing_stub + ARCH_UNDO_SIZE;
    assert_replaced(target, 64, CODE_TARGET_KEPT, CODE_TARGET_KEPT > 0 ? undone : stub);
    assert_replaced(comparing, 64, CODE_COMPARING_KEPT, CODE_COMPARING_IS_UNDONE ? undone : stub);
    assert_replaced(crossing, 6, 0, stub);
}

TEST(crosses_a_page)
{
    struct detour_plan plan = crossing_plan();
    ck_assert_uint_eq(plan.site % PAGE, PAGE - CODE_CROSSING);
    ck_assert_int_eq(crossing(1), 2);
    ck_assert(detour_commit(&plan, NULL));
    ck_assert_int_eq(crossing(1), 1001);
    ck_assert(detour_revert(&plan, NULL));
    ck_assert_int_eq(crossing(1), 2);
    ck_assert_mem_eq(crossing_site, plan.original, plan.length);
}

/* valgrind's own memory is in the maps, too, and grows meanwhile. */
static bool maps_are_mixed(void)
{
    if (under_valgrind())
        skip("maps", "valgrind's own memory is in them");
    return under_valgrind();
}

TEST(leaves_mappings_and_descriptors_alone)
{
    if (maps_are_mixed())
        return;
    struct detour_plan plan = target_plan();
    int maps = open_maps(), descriptors = count_descriptors();
    const char *before = read_maps(maps);
    ck_assert(detour_commit(&plan, NULL));
    const char *during = read_maps(maps);
    ck_assert_str_eq(during, before);
    ck_assert(detour_revert(&plan, NULL));
    const char *after = read_maps(maps);
    ck_assert_str_eq(after, during);
    ck_assert_int_eq(count_descriptors(), descriptors);
    close(maps);
    assert_never_writable_and_executable();
}

TEST(refuses_other_bytes)
{
    struct detour_plan plan = target_plan(), wrong = plan;
    for (size_t i = 0; i < DETOUR_JUMP_LENGTH; i++) {
        struct failure why = {.code = FAILURE_NONE};
        wrong = plan;
        wrong.original[i] ^= 1;
        errno = EXFULL;
        ck_assert_msg(!detour_commit(&wrong, &why), "byte %zu is not looked at", i);
        ck_assert_int_eq(errno, EXFULL);
        ck_assert_int_eq(why.code, FAILURE_TEXT_CHANGED);
        ck_assert_int_eq(why.sys_errno, 0);
        ck_assert_mem_eq(target_site, plan.original, plan.length);
    }
    ck_assert(!detour_commit(&wrong, NULL));
}

/* The plan's bytes begin with the instruction in front of the jump. */
TEST(keeps_what_stands_in_front)
{
    struct detour_plan plan = target_plan();
    plan.kept = 2;
    memmove(plan.original + plan.kept, plan.original, DETOUR_JUMP_LENGTH);
    memset(plan.original, 0xaa, plan.kept);
    ck_assert(detour_commit(&plan, NULL));
    ck_assert_int_eq(target(1), 1001);
    ck_assert(detour_revert(&plan, NULL));
    ck_assert_int_eq(target(1), 2);
}

TEST(each_way_only_once)
{
    struct detour_plan plan = target_plan();
    struct failure why = {.code = FAILURE_NONE};
    ck_assert_msg(!detour_revert(&plan, &why), "reverts what is not there");
    ck_assert_int_eq(why.code, FAILURE_TEXT_CHANGED);
    ck_assert(detour_commit(&plan, NULL));
    ck_assert_msg(!detour_commit(&plan, &why), "commits twice");
    ck_assert_int_eq(why.code, FAILURE_TEXT_CHANGED);
    ck_assert_int_eq(target(1), 1001);
    ck_assert(detour_revert(&plan, NULL));
    ck_assert_msg(!detour_revert(&plan, &why), "reverts twice");
    ck_assert_int_eq(why.code, FAILURE_TEXT_CHANGED);
    ck_assert_int_eq(target(1), 2);
}

static void put_on_top(const uint8_t bytes[DETOUR_JUMP_LENGTH], enum failure_code expected)
{
    struct detour_plan plan = target_plan(), other = plan;
    struct failure why = {.code = FAILURE_NONE};
    ck_assert(detour_commit(&plan, NULL));
    memcpy(other.original, plan.jump, DETOUR_JUMP_LENGTH);
    memcpy(other.jump, bytes, DETOUR_JUMP_LENGTH);
    ck_assert(detour_commit(&other, NULL));
    ck_assert(!detour_revert(&plan, &why));
    ck_assert_int_eq(why.code, expected);
    ck_assert_mem_eq(target_site, other.jump, DETOUR_JUMP_LENGTH);
    ck_assert(detour_revert(&other, NULL));
    ck_assert(detour_revert(&plan, NULL));
    ck_assert_int_eq(target(1), 2);
}

/* Another tool's jump on top of ours, or a debugger's breakpoint. */
TEST(leaves_what_others_put_on_top)
{
    static const uint8_t foreign[] = CODE_FOREIGN, breakpoint[] = CODE_BREAKPOINT;
    put_on_top(foreign, FAILURE_TEXT_CHANGED);
    put_on_top(breakpoint, FAILURE_BREAKPOINT);
}

static const uint8_t code[] = CODE_RETURN(1);

/* An anonymous page, and a file's, which must stay unchanged. */
TEST(patches_mapped_pages)
{
    if (maps_are_mixed())
        return;
    int file = memfd_create("text", MFD_CLOEXEC), maps = open_maps();
    ck_assert_int_eq(ftruncate(file, PAGE), 0);
    ck_assert_int_eq(pwrite(file, code, sizeof code, 0), sizeof code);
    uint8_t *pages[] = {
        mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
        mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0),
    };
    memcpy(pages[0], code, sizeof code);
    ck_assert_int_eq(mprotect(pages[0], PAGE, PROT_READ | PROT_EXEC), 0);
    for (size_t i = 0; i < LENGTH_OF(pages); i++) {
        struct detour_plan plan =
            plan_for(pages[i], DETOUR_JUMP_LENGTH, (uintptr_t)pages[i] + PAGE / 2);
        int (*function)(void);
        memcpy(&function, &pages[i], sizeof function);
        const char *before = read_maps(maps);
        ck_assert(detour_commit(&plan, NULL));
        ck_assert_str_eq(read_maps(maps), before);
        ck_assert_mem_eq(pages[i], plan.jump, DETOUR_JUMP_LENGTH);
        ck_assert(detour_revert(&plan, NULL));
        ck_assert_int_eq(function(), 1);
        ck_assert_mem_eq(pages[i], code, sizeof code);
    }
    uint8_t in_file[sizeof code];
    struct detour_plan plan =
        plan_for(pages[1], DETOUR_JUMP_LENGTH, (uintptr_t)pages[1] + PAGE / 2);
    ck_assert(detour_commit(&plan, NULL));
    ck_assert_int_eq(pread(file, in_file, sizeof in_file, 0), sizeof in_file);
    ck_assert_mem_eq(in_file, code, sizeof code);
    close(file);
    close(maps);
}

static void *wait_for_ever(void *unused)
{
    pause();
    return unused;
}

static void start_thread(void)
{
    pthread_t thread;
    child_check(pthread_create(&thread, NULL, wait_for_ever, NULL) == 0, "%d", errno);
}

/* The second page is a shared mapping, which /proc/self/mem does not write to: half a jump must not
 * remain. */
TEST_IN_CHILD(write_half)
{
    int file = memfd_create("text", MFD_CLOEXEC);
    child_check(ftruncate(file, PAGE) == 0, "%d", errno);
    uint8_t *pages =
        mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint8_t *second =
        mmap(pages + PAGE, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, file, 0);
    child_check(second == pages + PAGE, "%d", errno);
    mprotect(pages, PAGE, PROT_READ | PROT_EXEC);
    if ((int)CODE_CROSSING == (int)DETOUR_JUMP_LENGTH) /* no jump is on two pages */
        return;
    struct detour_plan plan = plan_for(second - 2, DETOUR_JUMP_LENGTH, (uintptr_t)pages);
    struct failure why = {.code = FAILURE_NONE};
    start_thread(); /* so that mprotect is not tried */
    child_check(!detour_commit(&plan, &why), "%s", "it is written");
    child_check(why.code == FAILURE_TEXT_WRITE, "%s", failure_message(why.code));
    child_check(memcmp(second - 2, plan.original, DETOUR_JUMP_LENGTH) == 0, "%02x %02x %02x",
                second[-2], second[-1], second[0]);
}

static int maps; /* this process's, opened while that is possible */

/* The mappings of files: other threads, and sanitizers, map memory meanwhile. A page that was
 * writable stays accounted, so the kernel does not merge its mapping with its neighbours again: the
 * same protections then take more lines. `join` merges them. */
static void copy_lines(const char *text, char *out, bool join)
{
    uintptr_t start = 0, end = 0, offset = 0, next_start, next_end, next_offset;
    char rest[256] = "", next_rest[256], protection[8] = "", next_protection[8];
    for (; *text != '\0'; text = strchr(text, '\n') + 1) {
        if (memchr(text, '/', strcspn(text, "\n")) == NULL)
            continue;
        sscanf(text, "%lx-%lx %7s %lx %255[^\n]", &next_start, &next_end, next_protection,
               &next_offset, next_rest);
        if (!join || next_start != end || next_offset != offset + (end - start) ||
            strcmp(rest, next_rest) != 0 || strcmp(protection, next_protection) != 0) {
            out += sprintf(out, "-%lx\n%lx %s %lx %s", end, next_start, next_protection,
                           next_offset, next_rest);
            start = next_start;
            offset = next_offset;
        }
        end = next_end;
        strcpy(rest, next_rest);
        strcpy(protection, next_protection);
    }
    sprintf(out, "-%lx\n", end);
}

static void check_same_maps(const char *before, const char *after, bool in_same_lines)
{
    static char lines[2][1 << 20];
    copy_lines(before, lines[0], !in_same_lines);
    copy_lines(after, lines[1], !in_same_lines);
    size_t same = 0;
    while (lines[0][same] == lines[1][same] && lines[0][same] != '\0')
        same++;
    child_check(lines[0][same] == lines[1][same], "\n%.160s\nbecame\n%.160s", lines[0] + same,
                lines[1] + same);
}

static void check_both_ways(struct detour_plan plan, long (*function)(long), bool in_same_lines)
{
    struct failure why = {.code = FAILURE_NONE};
    const char *before = read_maps(maps);
    errno = EXFULL;
    child_check(detour_commit(&plan, &why), "%s: %s", failure_message(why.code), why.what);
    child_check(errno == EXFULL, "%d", errno);
    child_check(function(1) == 1001, "%ld", function(1));
    const char *after = read_maps(maps);
    check_same_maps(before, after, in_same_lines);
    child_check(detour_revert(&plan, &why), "%s: %s", failure_message(why.code), why.what);
    child_check(errno == EXFULL, "%d", errno);
    child_check(function(1) == 2, "%ld", function(1));
    child_check(memcmp((void *)plan.site, plan.original, plan.length) == 0, "%s", "other bytes");
    before = read_maps(maps); /* before the text is overwritten, and the same as after */
    check_same_maps(before, after, in_same_lines);
}

static void check_refused(struct detour_plan plan)
{
    struct failure why = {.code = FAILURE_NONE};
    const char *before = read_maps(maps);
    errno = EXFULL;
    child_check(!detour_commit(&plan, &why), "%s", "it is written");
    child_check(errno == EXFULL, "%d", errno);
    child_check(why.code == FAILURE_TEXT_WRITE, "%s", failure_message(why.code));
    child_check(memcmp((void *)plan.site, plan.original, plan.length) == 0, "%s", "other bytes");
    const char *after = read_maps(maps);
    check_same_maps(before, after, true);
}

TEST_IN_CHILD(without_proc)
{
    maps = open_maps();
    child_forbid_open();
    check_both_ways(target_plan(), target, false);
    check_both_ways(crossing_plan(), crossing, false);
}

TEST_IN_CHILD(without_proc_but_with_threads)
{
    maps = open_maps();
    start_thread();
    child_forbid_open();
    check_refused(target_plan());
    check_refused(crossing_plan());
    child_check(target(1) == 2, "%ld", target(1));
}

TEST_IN_CHILD(under_mdwe)
{
    maps = open_maps();
    child_deny_write_execute();
    check_both_ways(target_plan(), target, true);
    check_both_ways(crossing_plan(), crossing, true);
}

TEST_IN_CHILD(under_mdwe_without_proc)
{
    maps = open_maps();
    child_deny_write_execute();
    child_forbid_open();
    check_refused(target_plan());
    child_check(target(1) == 2, "%ld", target(1));
}

/* The text can be made writable, but not executable again. */
TEST_IN_CHILD(without_execmod_and_proc)
{
    maps = open_maps();
    child_deny_execmod();
    child_forbid_open();
    check_refused(target_plan());
    check_refused(crossing_plan());
    child_check(target(1) == 2, "%ld", target(1));
}

TEST_IN_CHILD(without_execmod)
{
    maps = open_maps();
    child_deny_execmod();
    check_both_ways(target_plan(), target, true);
}

TEST_IN_CHILD(with_threads)
{
    maps = open_maps();
    start_thread();
    check_both_ways(target_plan(), target, true);
}
