#include "trampoline/base/address_space.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { SPACE_LEFT = 128 << 20 /* bytes */ };

static bool is_limited(struct rlimit *limit)
{
    return getrlimit(RLIMIT_AS, limit) == 0 && limit->rlim_cur != RLIM_INFINITY;
}

bool address_space_is_limited(void)
{
    struct rlimit limit;
    return is_limited(&limit);
}

bool address_space_is_left(struct failure *why)
{
    struct rlimit limit;
    if (!is_limited(&limit))
        return true;
    char text[32] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, text, sizeof text - 1) < 0)
            text[0] = '\0';
        close(fd);
    }
    uint64_t used = strtoull(text, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (used != 0 && used + SPACE_LEFT <= limit.rlim_cur)
        return true;
    return failure_set(why, FAILURE_MEMORY, 0,
                       "less than %d MiB of address space are left (ulimit)", SPACE_LEFT >> 20);
}
