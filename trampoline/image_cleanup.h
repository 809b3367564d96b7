/* image_cleanup.h - removes images of ended processes from the shared directory.
 *
 * An image stays when its process ends, because perf reads it later. So that /tmp does not fill, a
 * later process removes it, if:
 *
 *   - it is a regular file of the same user with one link, named pyperf-PID-XXXXXX.so, and has the
 *     head of an image, or .calls (running_calls.h);
 *   - no process has it open or mapped: otherwise the kernel gives no write lease (fcntl(2),
 *     F_SETLEASE). That includes other containers, and forked children that use images of an ended
 *     parent;
 *   - it was neither written nor read for a day. A file that was read since its last write counts
 *     as read a day later than its access time, because with `relatime` (mount(8)) the kernel
 *     records one read a day.
 *
 * Some file systems give no leases, and overlayfs gives them for mapped files. There an image is
 * removed if it was not used for ten days, systemd-tmpfiles' limit for /tmp, and the process that
 * made it is not known to be alive.
 *
 * A profile that is kept longer needs its images elsewhere: in the directory beside perf.data,
 * where pyperf-run puts them, in an archive, or in perf's build-id cache. */
#ifndef PYPERF_IMAGE_CLEANUP_H
#define PYPERF_IMAGE_CLEANUP_H

#include <stdint.h>

enum {
    IMAGE_CLEANUP_DAY = 24 * 60 * 60, /* seconds */
    IMAGE_CLEANUP_LONG = 10 * IMAGE_CLEANUP_DAY,
    /* The most that one call does: directory entries read, images checked (a random sample of
     * more), and images removed, some 0.1 ms each. */
    IMAGE_CLEANUP_ENTRIES = 1 << 16,
    IMAGE_CLEANUP_FILES = 512,
    IMAGE_CLEANUP_REMOVED = 128,
};

/* Where images are made unless the user has named a directory. Images in a directory that the user
 * has named belong to the user and are never removed; that directory may be "/tmp" too, so callers
 * compare the pointers. */
extern const char image_shared_directory[];

/* Cleans `directory` once. `now` is the time, in seconds since 1970. Reports nothing; keeps errno,
 * and leaves no descriptor open. */
void image_cleanup(const char *directory, int64_t now);

#endif
