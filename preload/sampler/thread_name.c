#include "preload/sampler/thread_name.h"

#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

char *put_decimal(char *out, uint32_t number)
{
    char digits[10];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    while (count > 0)
        *out++ = digits[--count];
    return out;
}

void thread_name(uint32_t thread, char name[THREAD_NAME])
{
    char path[64] = "/proc/";
    memcpy(put_decimal(path + strlen(path), thread), "/comm", sizeof "/comm");
    memset(name, 0, THREAD_NAME);
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    long size = fd < 0 ? 0 : syscall(SYS_read, fd, name, THREAD_NAME);
    if (fd >= 0)
        syscall(SYS_close, fd);
    if (size > 0)
        name[size - 1] = '\0'; /* in place of the end of the line */
}
