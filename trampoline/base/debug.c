#include "trampoline/base/debug.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trampoline/base/line.h"

enum { LEVELS = 3, LINE_SIZE = 512 };

struct debug_state debug_state;

static const char *const names[] = {
#define X(name) #name,
    DEBUG_MODULES(X)
#undef X
};

#define ALL_NAMES "all"
#define X(name)   ", " #name
static const char known[] = ALL_NAMES DEBUG_MODULES(X);
#undef X

/* One item, module:level. */
static bool set_level(const char *item, size_t length, char *complaint, size_t size)
{
    const char *colon = memchr(item, ':', length);
    size_t name_length = colon == NULL ? length : (size_t)(colon - item);
    bool found = false,
         all = strncmp(item, ALL_NAMES, name_length) == 0 && ALL_NAMES[name_length] == '\0';
    int level = colon != NULL && length == name_length + 2 ? colon[1] - '0' : 0;
    for (int i = 0; i < DEBUG_MODULE_COUNT; i++)
        if (all || (strncmp(item, names[i], name_length) == 0 && names[i][name_length] == '\0')) {
            found = true;
            debug_state.level[i] = (uint8_t)level;
        }
    if (!found)
        snprintf(complaint, size, "there is no module \"%.*s\"; there are %s", (int)name_length,
                 item, known);
    else if (level < 1 || level > LEVELS)
        snprintf(complaint, size, "\"%.*s\" has no level; write %.*s:1, :2 or :3", (int)length,
                 item, (int)name_length, item);
    return found && level >= 1 && level <= LEVELS;
}

static int open_log(void)
{
    struct stat status;
    int fd =
        open(debug_state.path,
             O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    /* Only a regular file with one link. */
    if (fd >= 0 && (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 1)) {
        close(fd);
        errno = EPERM;
        fd = -1;
    }
    return fd;
}

/* An absolute path, because the program may change its directory. */
static bool set_path(const char *path, char *complaint, size_t size)
{
    size_t length = 0;
    if (*path != '/' && getcwd(debug_state.path, sizeof debug_state.path - 1) != NULL) {
        length = strlen(debug_state.path);
        debug_state.path[length++] = '/';
    }
    int fd = -1;
    errno = ENAMETOOLONG;
    if (*path == '\0')
        errno = ENOENT;
    else if (length + strlen(path) < sizeof debug_state.path) {
        memcpy(debug_state.path + length, path, strlen(path) + 1);
        fd = open_log();
    }
    if (fd < 0)
        snprintf(complaint, size, "cannot write \"%.200s\": %s", path, strerrordesc_np(errno));
    else
        close(fd);
    return fd >= 0;
}

static bool read_value(const char *value, char *complaint, size_t size)
{
    static const char file[] = "file=";
    for (;;) {
        if (strncmp(value, file, sizeof file - 1) == 0)
            return set_path(value + sizeof file - 1, complaint, size);
        size_t length = strcspn(value, ",");
        if (!set_level(value, length, complaint, size))
            return false;
        if (value[length] == '\0')
            return true;
        value += length + 1;
    }
}

bool debug_start(const char *value, char *complaint, size_t size)
{
    int saved = errno;
    bool usable = value == NULL || *value == '\0' || read_value(value, complaint, size);
    if (!usable)
        memset(&debug_state, 0, sizeof debug_state);
    errno = saved;
    return usable;
}

void debug_line(enum debug_module module, int level, const char *format, ...)
{
    int saved = errno;
    char line[LINE_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int prefix =
        snprintf(line, sizeof line, "libpyperf: %d %s:%d ", (int)getpid(), names[module], level);
    vsnprintf(line + prefix, sizeof line - (size_t)prefix - 1, format, arguments);
    va_end(arguments);
    size_t length = strlen(line);
    line[length++] = '\n';
    if (debug_state.path[0] == '\0') {
        line_write_stderr(line, length);
    } else {
        int fd = open_log();
        if (fd >= 0) {
            line_write(fd, line, length);
            close(fd);
        }
    }
    errno = saved;
}
