#include "preload/attach/script.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/attach/maps.h"
#include "preload/process/attach.h"
#include "trampoline/base/clock.h"

#define SAID   ".said"
#define PREFIX "pyperf-"
#define SUFFIX ".py"

enum { TRIES = 100, TEXT_MAX = 10 * PATH_MAX };

/* A signal's Python handler runs, and another thread gets the lock, at the end of a call and of a
 * loop's turn (Python/bytecodes.c, _CHECK_PERIODIC). Unpacking a map calls its function without either. So an
 * exception that a handler raises is not lost in here, and no other thread imports with our flags.
 *
 * type(sys.implementation) is types.SimpleNamespace. `_imp` and `sys` are always imported. That the
 * init function gives no module and no exception is a SystemError (Python/import.c,
 * _PyImport_RunModInitFunc). */
#define TEXT                                                                                       \
    "import _imp, sys\n"                                                                           \
    "path = b'%s'.decode(sys.getfilesystemencoding(), 'surrogateescape')\n"                        \
    "spec = type(sys.implementation)(name='" ATTACH_MODULE "', origin=path)\n"                     \
    "call = map(_imp.create_dynamic, [spec])\n"                                                    \
    "prepare = map(sys.setdlopenflags, [%d])\n"                                                    \
    "restore = map(sys.setdlopenflags, [sys.getdlopenflags()])\n"                                  \
    "said = None\n"                                                                                \
    "try:\n"                                                                                       \
    "    [*prepare]\n"                                                                             \
    "    [*call]\n"                                                                                \
    "except SystemError:\n"                                                                        \
    "    pass\n"                                                                                   \
    "except Exception as why:\n"                                                                   \
    "    said = why\n"                                                                             \
    "finally:\n"                                                                                   \
    "    [*restore]\n"                                                                             \
    "if said is not None:\n"                                                                       \
    "    with open(b'%s" SAID "', 'x', encoding='utf-8', errors='replace') as file:\n"             \
    "        file.write('%%s\\n' %% said)\n"

/* A path as the inside of a Python literal of bytes. */
static void quote(const char *path, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (const unsigned char *at = (const unsigned char *)path; *at != '\0' && used < size; at++) {
        bool plain = *at >= ' ' && *at < 127 && *at != '\'' && *at != '\\';
        used += (size_t)snprintf(text + used, size - used, plain ? "%c" : "\\x%02x", *at);
    }
}

/* A folder in the root of the process, which belongs to others: through no link. */
static int open_folder(pid_t pid, const char *path)
{
    char name[PATH_MAX];
    snprintf(name, sizeof name, "/proc/%d/root/", (int)pid);
    int folder = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (const char *at = path + 1; folder >= 0 && *at != '\0'; at += *at == '/') {
        size_t length = strcspn(at, "/");
        snprintf(name, sizeof name, "%.*s", (int)length, at);
        int below =
            openat(folder, length == 0 ? "." : name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        close(folder);
        folder = below;
        at += length;
    }
    return folder;
}

static bool write_text(const struct script *script, int file, const char *library, bool loaded)
{
    static char origin[PATH_MAX * 4], path[PATH_MAX * 4], text[TEXT_MAX];
    quote(library, origin, sizeof origin);
    quote(script->path, path, sizeof path);
    int size =
        snprintf(text, sizeof text, TEXT, origin, RTLD_NOW | (loaded ? RTLD_NOLOAD : 0), path);
    return syscall(SYS_fchmod, file, 0644) == 0 && write(file, text, (size_t)size) == size;
}

static bool make_in(struct script *script, pid_t pid, const char *directory, const char *library,
                    bool loaded)
{
    int file = -1, error;
    script->folder = open_folder(pid, directory);
    if (script->folder < 0)
        return false;
    for (int i = 0; file < 0 && i < TRIES; i++) {
        snprintf(script->name, sizeof script->name, PREFIX "%d-%08x" SUFFIX, (int)pid,
                 (unsigned)(clock_now() * 2654435761u));
        file = openat(script->folder, script->name,
                      O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (file < 0 && errno != EEXIST)
            break;
    }
    snprintf(script->path, sizeof script->path, "%s/%s", directory, script->name);
    bool good = file >= 0 && write_text(script, file, library, loaded);
    error = errno;
    if (file >= 0 && close(file) != 0)
        good = false;
    if (!good)
        script_remove(script);
    errno = error;
    return good;
}

bool script_make(struct script *script, pid_t pid, const char *directory, const char *library,
                 bool loaded, struct refusal *why)
{
    const char *const places[] = {directory, "/tmp", "/var/tmp", "/dev/shm", "/run"};
    for (size_t i = directory[0] == '\0'; i < sizeof places / sizeof *places; i++)
        if (make_in(script, pid, places[i], library, loaded))
            return true;
    return refuse(why,
                  "process %d: none of its folders takes a script for its interpreter, neither "
                  "/tmp nor others: %s",
                  pid, strerror(errno));
}

bool script_said(const struct script *script, char *text, size_t size)
{
    char name[sizeof script->name + sizeof SAID];
    struct stat status;
    snprintf(name, sizeof name, "%s" SAID, script->name);
    int file = openat(script->folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return false;
    ssize_t got =
        fstat(file, &status) == 0 && S_ISREG(status.st_mode) ? read(file, text, size - 1) : -1;
    close(file);
    text[got > 0 ? got : 0] = '\0';
    char *end = strchr(text, '\n');
    if (end != NULL)
        *end = '\0';
    return end != NULL || (size_t)got == size - 1;
}

void script_remove(struct script *script)
{
    char name[sizeof script->name + sizeof SAID];
    if (script->folder < 0)
        return;
    snprintf(name, sizeof name, "%s" SAID, script->name);
    unlinkat(script->folder, script->name, 0);
    unlinkat(script->folder, name, 0);
    close(script->folder);
    script->folder = -1;
}

bool script_remove_left(pid_t pid, const char *path)
{
    struct script left;
    char folder[PATH_MAX];
    const char *name = maps_name(path);
    size_t length = strlen(name);
    if (path[0] != '/' || strncmp(name, PREFIX, strlen(PREFIX)) != 0 ||
        length >= sizeof left.name || length < strlen(SUFFIX) ||
        strcmp(name + length - strlen(SUFFIX), SUFFIX) != 0)
        return false;
    snprintf(folder, sizeof folder, "%.*s", (int)(name - path), path);
    snprintf(left.name, sizeof left.name, "%s", name);
    left.folder = open_folder(pid, folder);
    script_remove(&left);
    return true;
}
