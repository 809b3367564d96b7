#include "trampoline/gaps.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch.h"
#include "trampoline/base/page.h"

enum {
    /* The lowest address: vm.mmap_min_addr is 65536 by default
     * (Documentation/admin-guide/sysctl/vm.rst). */
    LOWEST = 65536,
    MAPS_LIMIT = 8 << 20, /* some 80,000 mappings */
};

/* The kernel maps nothing above this unless asked to, and never the last page (x86: TASK_SIZE_MAX
 * in arch/x86/include/asm/page_64.h). */
static uintptr_t end_of_addresses(void)
{
    return ((uintptr_t)1 << ARCH_ADDRESS_BITS) - page_size();
}

static void visit_gap(gaps_visitor *visit, void *context, uintptr_t start, uintptr_t end)
{
    if (end > end_of_addresses()) /* before [vsyscall] */
        end = end_of_addresses();
    if (start < end)
        visit(context, start, end);
}

void gaps_in(const char *maps, gaps_visitor *visit, void *context)
{
    uintptr_t previous_end = LOWEST;
    for (const char *line = maps; line != NULL && *line != '\0';) {
        char *dash;
        uintptr_t start = strtoull(line, &dash, 16);
        if (*dash != '-')
            break;
        uintptr_t end = strtoull(dash + 1, NULL, 16);
        visit_gap(visit, context, previous_end, start);
        if (end > previous_end)
            previous_end = end;
        line = strchr(dash, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    visit_gap(visit, context, previous_end, end_of_addresses());
}

/* Reads the whole file, NUL terminated, into a mapping; NULL when that fails. */
static char *read_maps(int fd)
{
    char *text = mmap(NULL, MAPS_LIMIT, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (text == MAP_FAILED)
        return NULL;
    size_t used = 0;
    for (;;) {
        ssize_t n = read(fd, text + used, MAPS_LIMIT - 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    text[used] = '\0';
    return text;
}

bool gaps_here(gaps_visitor *visit, void *context)
{
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    char *text = read_maps(fd);
    int error = errno;
    close(fd);
    errno = error;
    if (text == NULL)
        return false;
    gaps_in(text, visit, context);
    munmap(text, MAPS_LIMIT);
    return true;
}
