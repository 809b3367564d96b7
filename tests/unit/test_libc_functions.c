/* test_libc_functions.c - functions of the process's libc, found without a reference to them. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/support.h"
#include "trampoline/base/libc_functions.h"
#include "trampoline/base/next_symbol.h"

TEST(finds_functions_behind_this_object)
{
    int (*close_it)(int) = (int (*)(int))next_symbol("close");
    ck_assert_ptr_nonnull((void *)close_it);
    int fd = open("/dev/null", O_RDONLY);
    ck_assert_int_eq(close_it(fd), 0);
    ck_assert_int_eq(close_it(fd), -1);
    ck_assert_ptr_null(next_symbol("no_such_function_anywhere"));
    ck_assert_ptr_null(next_symbol("main"));
}

TEST(knows_the_libc)
{
    ck_assert(!libc_is_musl());
}

TEST(names_errors)
{
    ck_assert_str_eq(strerrordesc_np(ENOSPC), "No space left on device");
    ck_assert_str_eq(strerrordesc_np(0), "Success");
}

/* The definitions in this program, each of which calls libc's. */
TEST(loads_objects)
{
    libc_functions_find();
    ck_assert_ptr_null(dlopen("/no/such/library.so", RTLD_NOW));
    ck_assert_ptr_nonnull(strstr(dlerror(), "/no/such/library.so"));
    void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    struct link_map *map;
    ck_assert_ptr_nonnull(libc);
    ck_assert_ptr_eq(dlsym(libc, "close"), next_symbol("close"));
    ck_assert_int_eq(dlinfo(libc, RTLD_DI_LINKMAP, &map), 0);
    ck_assert_int_eq(dlclose(libc), 0);
}

static int ended;

static void note_end(void *value)
{
    ended += *(int *)value;
}

static void *use_stack_and_key(void *key)
{
    static int one = 1;
    pthread_attr_t attributes;
    void *lowest;
    size_t size;
    ck_assert_int_eq(pthread_getattr_np(pthread_self(), &attributes), 0);
    ck_assert_int_eq(pthread_attr_getstack(&attributes, &lowest, &size), 0);
    pthread_attr_destroy(&attributes);
    ck_assert_uint_lt((uintptr_t)&size - (uintptr_t)lowest, size);
    ck_assert_int_eq(pthread_setspecific(*(pthread_key_t *)key, &one), 0);
    return NULL;
}

TEST(knows_threads)
{
    pthread_key_t key;
    pthread_t thread;
    ck_assert_int_eq(pthread_key_create(&key, note_end), 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, use_stack_and_key, &key), 0);
    pthread_join(thread, NULL);
    ck_assert_int_eq(ended, 1);
}

static int before, after, child;

static void note_before(void)
{
    before++;
}

static void note_after(void)
{
    after++;
}

static void note_child(void)
{
    child++;
}

TEST(knows_forks)
{
    int status;
    ck_assert_int_eq(pthread_atfork(note_before, note_after, note_child), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(before == 1 && after == 0 && child == 1 ? 0 : 1);
    waitpid(pid, &status, 0);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(before, 1);
    ck_assert_int_eq(after, 1);
    ck_assert_int_eq(child, 0);
}

/* Against the kernel's own word for each. */
TEST(looks_at_files)
{
    struct stat status;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", in_folder("link"));
    write_file(in_folder("file"), "12345", 5);
    ck_assert_int_eq(symlink(in_folder("file"), path), 0);
    errno = EXFULL;
    ck_assert_int_eq(stat(path, &status), 0);
    ck_assert_int_eq(errno, EXFULL);
    ck_assert_int_eq(status.st_size, 5);
    ck_assert(S_ISREG(status.st_mode));
    ck_assert_int_eq(lstat(path, &status), 0);
    ck_assert(S_ISLNK(status.st_mode));
    int fd = open(path, O_RDONLY);
    memset(&status, 0, sizeof status);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_int_eq(status.st_size, 5);
    close(fd);
    ck_assert_int_eq(fstat(fd, &status), -1);
    ck_assert_int_eq(errno, EBADF);
}
