/* test_process_identity.c - the identity of this process, and which processes have ended. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/support.h"
#include "trampoline/base/process_identity.h"

static struct process_identity own;

static void get(void)
{
    errno = EXFULL;
    ck_assert(process_identity_get(&own));
    ck_assert_int_eq(errno, EXFULL);
}

TEST(says_who_it_is)
{
    struct stat status;
    char text[100], digits[4];
    get();
    ck_assert_uint_eq(own.pid, (uint32_t)getpid());
    ck_assert_int_eq(stat("/proc/self/ns/pid", &status), 0);
    ck_assert_uint_eq(own.pid_namespace, status.st_ino);
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    ck_assert_ptr_nonnull(fgets(text, sizeof text, file));
    fclose(file);
    snprintf(digits, sizeof digits, "%02x", own.boot[0]);
    ck_assert_int_eq(strncmp(text, digits, 2), 0);
    snprintf(digits, sizeof digits, "%02x", own.boot[15]);
    ck_assert_int_eq(strncmp(text + 34, digits, 2), 0);
    ck_assert(process_is_alive(&own, &own));
}

TEST(a_name_with_parentheses)
{
    get();
    struct process_identity before = own;
    ck_assert_int_eq(prctl(PR_SET_NAME, "a) S 1 (2) 3"), 0);
    get();
    ck_assert_mem_eq(&before, &own, sizeof own);
}

TEST(ended_and_alive)
{
    struct process_identity child;
    int ends[2], status;
    get();
    ck_assert_int_eq(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        process_identity_get(&child);
        if (write(ends[1], &child, sizeof child) != sizeof child)
            _exit(1);
        pause();
    }
    ck_assert_int_eq(read(ends[0], &child, sizeof child), sizeof child);
    ck_assert_uint_eq(child.pid, (uint32_t)pid);
    ck_assert(process_is_alive(&child, &own));
    struct process_identity earlier = child; /* a process that had its pid before */
    earlier.start--;
    ck_assert(!process_is_alive(&earlier, &own));
    struct process_identity other = child;
    other.pid_namespace++;
    ck_assert(!process_is_alive(&other, &own));
    other = child;
    other.boot[3]++;
    ck_assert(!process_is_alive(&other, &own));
    memset(&other, 0, sizeof other);
    ck_assert(!process_is_alive(&other, &own));
    ck_assert(!process_is_alive(&child, &other));
    ck_assert(!process_is_alive(&other, &other));

    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(!process_is_alive(&child, &own));
}

TEST(age)
{
    int64_t now = time(NULL);
    get();
    errno = EXFULL;
    ck_assert(process_is_younger_than(now - 3600));
    ck_assert(process_is_younger_than(now - 10));
    ck_assert(!process_is_younger_than(now));
    ck_assert(!process_is_younger_than(now - 2));
    ck_assert(!process_is_younger_than(now + 3600));
    ck_assert_int_eq(errno, EXFULL);
    usleep(6500000); /* files of its first seconds are still its own */
    ck_assert(!process_is_younger_than(now));
    ck_assert(process_is_younger_than(now - 10));
}

static void hide_proc(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "/proc", "tmpfs", 0, NULL) != 0)
        child_skip("mount", errno);
}

TEST_IN_CHILD(without_proc)
{
    struct process_identity unknown;
    hide_proc();
    child_check(!process_identity_get(&unknown), "%s", "it is known");
    child_check(!process_is_younger_than(1000), "%s", "its age is known");
}

/* /proc of another pid namespace shows other processes. */
TEST_IN_CHILD(with_foreign_proc)
{
    int status;
    if (unshare(CLONE_NEWPID) != 0)
        child_skip("unshare", errno);
    pid_t pid = fork();
    if (pid == 0) {
        struct process_identity unknown;
        _exit(process_identity_get(&unknown) || process_is_younger_than(1000));
    }
    child_check(waitpid(pid, &status, 0) == pid && status == 0, "%d", status);
}
