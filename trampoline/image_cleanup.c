#include "trampoline/image_cleanup.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "trampoline/base/own_file.h"
#include "trampoline/base/read_at.h"
#include "trampoline/image_file.h"

enum {
    NAME_SIZE = 32, /* pyperf-4194304-XXXXXX.calls, the longest name, and its NUL */
    RANDOM_LETTERS = 6,
};

const char image_shared_directory[] = "/tmp";

/* A random sample of the names in a directory (reservoir sampling), so that each is checked at some
 * time, however many there are. */
struct sample {
    uint32_t seen, random;
    char names[IMAGE_CLEANUP_FILES][NAME_SIZE];
};

static bool is_image_name(const char *name)
{
    static const char begin[] = "pyperf-";
    if (strlen(name) >= NAME_SIZE || strncmp(name, begin, strlen(begin)) != 0)
        return false;
    const char *at = name + strlen(begin);
    size_t digits = strspn(at, "0123456789");
    if (digits == 0 || at[digits] != '-')
        return false;
    at += digits + 1;
    for (int i = 0; i < RANDOM_LETTERS; i++)
        if (!isalnum((unsigned char)*at++))
            return false;
    return strcmp(at, ".so") == 0 || strcmp(at, ".calls") == 0;
}

static void take(struct sample *sample, const char *name)
{
    uint32_t place = sample->seen++;
    if (place >= IMAGE_CLEANUP_FILES) {
        sample->random = sample->random * 1664525 + 1013904223; /* Knuth, TAOCP 2, 3.3.4 */
        place = (uint32_t)((uint64_t)sample->random * sample->seen >> 32);
    }
    if (place < IMAGE_CLEANUP_FILES)
        strcpy(sample->names[place], name);
}

static int64_t later(int64_t one, int64_t other)
{
    return one > other ? one : other;
}

/* The time of the last use: at least as late as the last read or write. */
static int64_t last_use(const struct stat *status)
{
    int64_t written = later(status->st_mtim.tv_sec, status->st_ctim.tv_sec);
    int64_t read = status->st_atim.tv_sec;
    return read > written ? read + IMAGE_CLEANUP_DAY : written;
}

static bool is_old(const struct stat *status, int64_t now, int64_t age)
{
    return last_use(status) + age <= now && own_file_is_safe(status);
}

enum use { USED, UNUSED, UNKNOWN };

/* Whether the file is open or mapped elsewhere than by this descriptor. */
static enum use use_of(int fd)
{
    struct statfs status;
    /* If a process opens the file before the lease is released, the kernel notifies us by SIGIO,
     * which would end the program; SIGURG is ignored by default. */
    if (fstatfs(fd, &status) != 0 || (unsigned)status.f_type == OVERLAYFS_SUPER_MAGIC ||
        fcntl(fd, F_SETSIG, SIGURG) != 0)
        return UNKNOWN;
    if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0)
        return errno == EAGAIN || errno == EWOULDBLOCK ? USED : UNKNOWN;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return UNUSED;
}

/* Whether the open file may be removed. */
static bool may_remove(int fd, int64_t now, const struct process_identity *own)
{
    uint8_t head[IMAGE_EH_FRAME_HDR_OFFSET];
    struct process_identity owner;
    struct stat status;
    if (fstat(fd, &status) != 0 || !is_old(&status, now, IMAGE_CLEANUP_DAY) ||
        read_at(fd, head, sizeof head, 0) != (ssize_t)sizeof head ||
        !image_get_owner(head, &owner) || process_is_alive(&owner, own))
        return false;
    enum use use = use_of(fd);
    return use == UNUSED || (use == UNKNOWN && is_old(&status, now, IMAGE_CLEANUP_LONG));
}

/* Returns whether the image was removed. */
static bool remove_if_unused(int directory, const char *name, int64_t now,
                             const struct process_identity *own)
{
    struct stat status;
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
        !is_old(&status, now, IMAGE_CLEANUP_DAY))
        return false;
    /* Without O_NOATIME this read would keep it for another day. */
    int fd = openat(directory, name,
                    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | O_NOATIME);
    if (fd < 0)
        return false;
    bool removed = may_remove(fd, now, own) && unlinkat(directory, name, 0) == 0;
    close(fd);
    return removed;
}

static void look_through(DIR *directory, int64_t now)
{
    static struct sample sample; /* too large for a small stack; used once in a process */
    struct process_identity own;
    const struct dirent *entry;
    process_identity_get(&own);
    sample.seen = 0;
    sample.random = (uint32_t)(own.start + own.pid + (uint64_t)now);
    for (int i = 0; i < IMAGE_CLEANUP_ENTRIES && (entry = readdir(directory)) != NULL; i++)
        if (is_image_name(entry->d_name))
            take(&sample, entry->d_name);
    uint32_t count = sample.seen < IMAGE_CLEANUP_FILES ? sample.seen : IMAGE_CLEANUP_FILES;
    int removed = 0;
    for (uint32_t i = 0; i < count && removed < IMAGE_CLEANUP_REMOVED; i++)
        removed += remove_if_unused(dirfd(directory), sample.names[i], now, &own);
}

void image_cleanup(const char *directory, int64_t now)
{
    int saved = errno;
    DIR *opened = opendir(directory); /* O_CLOEXEC */
    if (opened != NULL) {
        look_through(opened, now);
        closedir(opened);
    }
    errno = saved;
}
