#include "preload/sampler/proc_file.h"

#include <errno.h>
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

char *proc_path(char path[PROC_PATH], uint32_t process, const char *name)
{
    static const char folder[] = "/proc/";
    memcpy(path, folder, sizeof folder);
    char *end = put_decimal(path + strlen(folder), process);
    strcpy(end, name);
    return end + strlen(name);
}

long proc_read(const char *path, char *text, size_t size)
{
    text[0] = '\0';
    long fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    long length = syscall(SYS_read, fd, text, size - 1);
    int error = errno;
    syscall(SYS_close, fd);
    errno = error;
    text[length > 0 ? length : 0] = '\0';
    return length;
}
