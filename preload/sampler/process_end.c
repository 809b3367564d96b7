#include "preload/sampler/process_end.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "trampoline/base/next_symbol.h"
#include "trampoline/elf_got.h"

typedef void exit_function(int status);
typedef int exec_function(const char *path, char *const arguments[]);
typedef int exec_in_function(const char *path, char *const arguments[], char *const environment[]);
typedef int exec_by_function(int fd, char *const arguments[], char *const environment[]);

static void (*told)(void);
static struct {
    exit_function *_exit;
    exec_function *execv;
    exec_in_function *execve;
    exec_by_function *fexecve;
} libc;

static void tell(void)
{
    int saved = errno;
    void (*ends)(void) = __atomic_load_n(&told, __ATOMIC_ACQUIRE);
    if (ends != NULL)
        ends();
    errno = saved;
}

static void our__exit(int status)
{
    tell();
    libc._exit(status);
    syscall(SYS_exit_group, status);
}

static int our_execv(const char *path, char *const arguments[])
{
    tell();
    return libc.execv(path, arguments);
}

static int our_execve(const char *path, char *const arguments[], char *const environment[])
{
    tell();
    return libc.execve(path, arguments, environment);
}

static int our_fexecve(int fd, char *const arguments[], char *const environment[])
{
    tell();
    return libc.fexecve(fd, arguments, environment);
}

#define LEAD(name)                                                                                 \
    do {                                                                                           \
        if (libc.name == NULL)                                                                     \
            libc.name = (__typeof__(libc.name))next_symbol(#name);                                 \
        if (libc.name != NULL)                                                                     \
            elf_got_lead(#name, (uintptr_t)our_##name);                                            \
    } while (0)

void process_end_watch(void (*ends)(void))
{
    LEAD(_exit);
    LEAD(execv);
    LEAD(execve);
    LEAD(fexecve);
    __atomic_store_n(&told, ends, __ATOMIC_RELEASE);
}

void process_end_leave(void)
{
    __atomic_store_n(&told, NULL, __ATOMIC_RELEASE);
}
