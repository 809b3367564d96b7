/* jail.c - makes things fail: a full disk, no open(), no executable memory. Only for child
 * processes, because none of this can be undone. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65 /* Linux 6.3 */
#endif

/* qemu-user maps no code as executable. */
static void skip_without_noexec(void)
{
    write_file(in_folder("code"), "", 1);
    int fd = open(in_folder("code"), O_RDONLY | O_CLOEXEC);
    bool maps = mmap(NULL, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) != MAP_FAILED;
    close(fd);
    unlink(in_folder("code"));
    if (maps)
        child_skip("MS_NOEXEC", ENOTSUP);
}

void child_mount_small_disk(size_t bytes, unsigned long flags)
{
    char options[64];
    snprintf(options, sizeof options, "size=%zu", bytes);
    if (unshare(CLONE_NEWNS) != 0)
        child_skip("unshare", errno);
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", folder, "tmpfs", flags, options) != 0)
        child_skip("mount", errno);
    if ((flags & MS_NOEXEC) != 0)
        skip_without_noexec();
}

void child_mount_overlay(void)
{
    char options[1000];
    for (const char *name = "lower\0upper\0work\0"; *name != '\0'; name += strlen(name) + 1)
        mkdir(in_folder("%s", name), 0700);
    snprintf(options, sizeof options, "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", folder,
             folder, folder);
    if (mount("overlay", folder, "overlay", 0, options) != 0)
        child_skip("overlay", errno);
}

static void install(struct sock_filter *filter, size_t length)
{
    struct sock_fprog program = {(unsigned short)length, filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        child_skip("seccomp", errno);
}

void child_forbid_open(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
#ifdef SYS_open
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_open, 1, 0),
#endif
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    install(filter, LENGTH_OF(filter));
    child_check(open("/proc/self/maps", O_RDONLY) < 0 && errno == EPERM, "%s", "still opens");
}

void child_forbid_transfers(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_writev, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    install(filter, LENGTH_OF(filter));
}

void child_deny_write_execute(void)
{
    child_skip_under_valgrind();
    if (prctl(PR_SET_MDWE, 1, 0, 0, 0) != 0)
        child_skip("PR_SET_MDWE", errno);
}

/* The linker's symbols for the bounds of this program. */
extern const char __executable_start[], _end[];

/* seccomp only sees addresses, so the filter covers exactly the range of this program's
 * mappings. */
void child_deny_execmod(void)
{
    child_skip_under_valgrind();
    uint64_t start = (uintptr_t)__executable_start, end = (uintptr_t)_end;
    if (start >> 32 != (end - 1) >> 32)
        child_skip("seccomp, for a program across a multiple of 4 GiB", 0);
    const size_t address = offsetof(struct seccomp_data, args[0]),
                 protection = offsetof(struct seccomp_data, args[2]);
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 8),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, protection),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 6),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, address + 4),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(start >> 32), 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, address),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)start, 0, 2),
        BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)(end - 1), 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    install(filter, LENGTH_OF(filter));
}
