/* image_cleanup.h - images of processes that have ended, removed from the directory that all share.
 *
 * An image stays when its process ends, because perf reads it later. So each profiled process would
 * leave one in /tmp for ever. By this rule a later one removes it:
 *
 *   - it is a regular file of the same user with one name, pyperf-PID-XXXXXX.so, and its head is
 *     that of an image;
 *   - no process has it open or mapped, which the kernel says: else it gives no write lease
 *     (fcntl(2), F_SETLEASE). That goes for all containers, and for forked children, which use their
 *     parent's images when it has ended;
 *   - nobody has written or read it for a day. A file that has been read since it was written counts
 *     as read a day later than it says, because with `relatime` (mount(8)) the kernel notes one read
 *     a day.
 *
 * Some file systems give no leases, and overlayfs gives them for files that are mapped. There it goes
 * when it has not been used for ten days, as systemd-tmpfiles has it for /tmp, and the process that
 * has made it is not known to be alive.
 *
 * A profile that is older than that and still wanted keeps its names elsewhere: in the directory
 * beside perf.data, as pyperf-run does it, in an archive, or in perf's build-id cache. */
#ifndef PYPERF_IMAGE_CLEANUP_H
#define PYPERF_IMAGE_CLEANUP_H

#include <stdint.h>

enum {
    IMAGE_CLEANUP_DAY = 24 * 60 * 60, /* seconds */
    IMAGE_CLEANUP_LONG = 10 * IMAGE_CLEANUP_DAY,
    /* How much one look does at most: entries of the directory that are read, images that are looked
     * at (some of them, when there are more), and images that are removed, some 0.1 ms each. */
    IMAGE_CLEANUP_ENTRIES = 1 << 16,
    IMAGE_CLEANUP_FILES = 512,
    IMAGE_CLEANUP_REMOVED = 128,
};

/* Where images are made when the user has named no directory. Only there it is to be called: what is
 * in a directory that the user has named (that may be /tmp as well, so the pointers are compared) is
 * the user's. */
extern const char image_shared_directory[];

/* Looks through `directory` once. `now` is the time, in seconds since 1970. Reports nothing; keeps
 * errno, and no descriptor. */
void image_cleanup(const char *directory, int64_t now);

#endif
