/* pyperf-attach.c - switches libpyperf on and off in a process that is running already.
 *
 *     pyperf-attach look PID
 *     pyperf-attach sample|map|jitdump PID LIBRARY DIRECTORY [--sampler 99:wall] [--patience SECONDS]
 *                                                            [--in-memory]
 *     pyperf-attach off|calls PID [--patience SECONDS]
 *
 * calls: where trampolines are on, the process writes down once more which Python calls are running
 * (running_calls.h).
 *
 * LIBRARY and DIRECTORY are paths as the process sees them. With --in-memory LIBRARY is one of ours, and
 * is loaded from a file in the process's memory (memfd_create). If libpyperf is in it already, LIBRARY is
 * not loaded.
 *
 * Prints one JSON object, and if something is in the way also "pyperf-attach: ...", a line that says what
 * it is and what to do. `look` prints what it knows of the process and stops no thread, unless there are
 * seccomp filters to read; the others print figures: for how long a thread was stopped, how many were,
 * how many that sleep were left alone, and when the request was served. Both print the way in ("ptrace",
 * "remote_exec"), and why it is not ptrace.
 *
 * Exit status: 0 if it is done, for `look` if it could be; 1 if not; 2 for wrong arguments. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach_blob.h"
#include "preload/attach/examine.h"
#include "preload/attach/interpreter_way.h"
#include "preload/attach/plant.h"
#include "preload/attach/signals.h"
#include "preload/profile/mode.h"

enum {
    PATIENCE = 10, /* seconds */
    PATIENCE_MAX = 86400,
    CONTENT_MAX = 64 << 20, /* bytes of a library */
};

struct arguments {
    const char *action;
    pid_t pid;
    const char *library, *directory, *sampler;
    bool in_memory;
    uint64_t patience; /* ns */
};

/* output */

static void print_string(const char *name, const char *text)
{
    printf("\"%s\": ", name);
    if (text == NULL) {
        printf("%s", "null");
        return;
    }
    printf("%s", "\"");
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at == '"' || *at == '\\' || *at < ' ')
            printf("\\u%04x", *at);
        else
            printf("%.1s", (const char *)at);
    }
    printf("%s", "\"");
}

static void print_way(const struct examined *examined)
{
    bool by_ptrace = examined->way == WAY_PTRACE;
    print_string("way", by_ptrace ? "ptrace" : "remote_exec");
    printf("%s", ", ");
    print_string("no_ptrace", by_ptrace ? NULL : examined->refused.line);
    printf("%s", ", ");
}

static int complain(const struct refusal *why)
{
    fprintf(stderr, "pyperf-attach: %s\n", why->line);
    return 1;
}

static int usage(void)
{
    fprintf(stderr, "%s",
            "usage: pyperf-attach look PID\n"
            "       pyperf-attach sample|map|jitdump PID LIBRARY DIRECTORY [--sampler RATE[:wall]] "
            "[--patience SECONDS] [--in-memory]\n"
            "       pyperf-attach off|calls PID [--patience SECONDS]\n");
    return 2;
}

/* look */

static int look(const struct arguments *arguments)
{
    static struct examined examined;
    struct refusal why = {""};
    char version[32] = "";
    bool good = examine(arguments->pid, 0, &examined, &why);
    const struct python_place *place = &examined.place;
    const struct library_there *library = &examined.library;
    snprintf(version, sizeof version, "%u.%u", place->major, place->minor);
    printf("{\"pid\": %d, ", (int)arguments->pid);
    print_string("python", examined.has_python ? version : NULL);
    printf("%s", ", ");
    print_string("interpreter", examined.has_python ? place->region->path : NULL);
    printf("%s", ", ");
    print_string("libpyperf", library->function != 0 ? library->version : "none");
    printf(", \"sampling\": %s, ", library->sampling ? "true" : "false");
    print_string("mode", profile_mode_name(library->mode));
    printf(", \"threads\": %d, \"own_pid\": %d, \"uid\": %ld, \"same_mount_namespace\": %s, ",
           examined.status.threads, (int)examined.status.own_pid,
           examined.has_status ? (long)examined.status.user : -1L,
           status_sharing(arguments->pid, "ns/mnt") == SHARING_YES ? "true" : "false");
    print_way(&examined);
    print_string("refusal", good ? NULL : why.line);
    printf("%s", "}\n");
    examine_close(&examined);
    return good ? 0 : complain(&why);
}

/* the others */

static void print_figures(const struct examined *examined, const struct plant_figures *figures)
{
    printf("%s", "{");
    print_way(examined);
    printf("\"stopped_ms\": %.3f, \"threads_stopped\": %lu, \"left_asleep\": %lu, "
           "\"served_after_ms\": %.3f, \"left_mapped\": %llu, ",
           (double)figures->stopped / 1e6, (unsigned long)figures->threads_stopped,
           (unsigned long)figures->left_asleep, (double)figures->served / 1e6,
           (unsigned long long)figures->left_mapped);
    print_string("said", figures->said);
    printf("%s", "}\n");
}

/* Until this process ends. The limit is that of a signal which the process may not ignore. */
static bool map_library(const struct arguments *arguments, struct plant_request *request,
                        struct refusal *why)
{
    struct stat status;
    int fd = open(arguments->library, O_RDONLY | O_CLOEXEC);
    void *content = MAP_FAILED;
    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0 && status.st_size <= CONTENT_MAX)
        content = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    int error = errno;
    if (fd >= 0)
        close(fd);
    if (content == MAP_FAILED)
        return refuse(why, "%s cannot be read: %s", arguments->library, strerror(error));
    request->content = content;
    request->content_size = (uint32_t)status.st_size;
    return status_permits_file(arguments->pid, (uint64_t)status.st_size) ||
           refuse(why,
                  "process %d: its limit for the size of a file is less than libpyperf's size, "
                  "which has to be put into a file in its memory: raise it (prlimit --fsize)",
                  (int)arguments->pid);
}

static bool fill_request(const struct arguments *arguments, struct plant_request *request,
                         struct refusal *why)
{
    static const char *const actions[] = {"off", "sample", "map", "jitdump", "calls"};
    struct attach_request *asked = &request->request;
    while (strcmp(actions[asked->action], arguments->action) != 0)
        asked->action++;
    asked->format = ATTACH_FORMAT;
    asked->size = sizeof *asked;
    if (strlen(arguments->directory) >= sizeof asked->directory ||
        strlen(arguments->library) >= BLOB_TEXT ||
        strlen(arguments->sampler) >= sizeof asked->sampler)
        return refuse(why, "%s", "a path may have 511 characters, the sampler's value 63");
    snprintf(asked->directory, sizeof asked->directory, "%s", arguments->directory);
    snprintf(asked->sampler, sizeof asked->sampler, "%s", arguments->sampler);
    request->library = arguments->library;
    request->patience = arguments->patience;
    return !arguments->in_memory || map_library(arguments, request, why);
}

/* Takes back what a killed pyperf-attach has left. It may have had the library loaded, so that the
 * process is examined again. */
static bool clean(const struct arguments *arguments, struct examined *examined,
                  struct plant_figures *figures, struct refusal *why)
{
    bool found;
    struct target *target = &examined->target;
    if (examined->has_point == SAFE_POINT_FOUND)
        interpreter_way_clean(target, &examined->point);
    if (!plant_clean(target, &examined->place, (uint32_t)examined->status.own_pid,
                     arguments->patience, figures, &found, why))
        return false;
    return !found || examine_again(examined, why);
}

/* Whether there is nothing to switch off, or to look at. */
static bool is_off(const struct arguments *arguments, const struct examined *examined)
{
    const struct library_there *library = &examined->library;
    return arguments->library[0] == '\0' &&
           (library->function == 0 || (!library->sampling && library->mode == PROFILE_OFF));
}

static bool perform(const struct arguments *arguments, struct examined *examined,
                    struct plant_figures *figures, struct refusal *why)
{
    struct plant_request request = {.patience = 0};
    if (!fill_request(arguments, &request, why) ||
        !examine(arguments->pid, arguments->patience, examined, why) ||
        !clean(arguments, examined, figures, why))
        return false;
    if (is_off(arguments, examined)) {
        snprintf(figures->said, sizeof figures->said, "%s in process %d",
                 examined->library.function == 0 ? "libpyperf is not" : "nothing is on",
                 (int)arguments->pid);
        return true;
    }
    request.function = examined->library.function;
    request.own_pid = (uint32_t)examined->status.own_pid;
    request.request.evaluator = examined->place.evaluator;
    if (examined->way == WAY_INTERPRETER && request.content != NULL && request.function == 0)
        return refuse(why,
                      "%s, and without ptrace libpyperf is loaded from a folder alone, which must "
                      "permit execution: mount a tmpfs on its /tmp (docker run --tmpfs /tmp:exec)",
                      examined->refused.line);
    if (examined->way == WAY_INTERPRETER)
        return interpreter_way(examined, &request, figures, why);
    return plant(&examined->target, &examined->place, &request, figures, why);
}

static int act(const struct arguments *arguments)
{
    static struct examined examined;
    struct plant_figures figures = {.stopped = 0};
    struct refusal why = {""};
    bool good = perform(arguments, &examined, &figures, &why);
    examine_close(&examined);
    print_figures(&examined, &figures);
    return good ? 0 : complain(&why);
}

/* arguments */

static bool read_number(const char *text, long most, long *number)
{
    char *end;
    *number = strtol(text, &end, 10);
    return *text != '\0' && *end == '\0' && *number > 0 && *number <= most;
}

static bool read_options(int count, char **values, struct arguments *arguments)
{
    for (int i = 0; i < count; i += 2) {
        long seconds;
        if (strcmp(values[i], "--in-memory") == 0) {
            arguments->in_memory = true;
            i--;
            continue;
        }
        if (i + 1 == count)
            return false;
        if (strcmp(values[i], "--sampler") == 0)
            arguments->sampler = values[i + 1];
        else if (strcmp(values[i], "--patience") == 0 &&
                 read_number(values[i + 1], PATIENCE_MAX, &seconds))
            arguments->patience = (uint64_t)seconds * 1000000000u;
        else
            return false;
    }
    return true;
}

static bool read_arguments(int argc, char **argv, struct arguments *arguments)
{
    long pid;
    if (argc < 3 || !read_number(argv[2], INT_MAX, &pid))
        return false;
    *arguments = (struct arguments){.action = argv[1],
                                    .pid = (pid_t)pid,
                                    .library = "",
                                    .directory = "",
                                    .sampler = "",
                                    .patience = (uint64_t)PATIENCE * 1000000000u};
    if (strcmp(argv[1], "look") == 0)
        return argc == 3;
    if (strcmp(argv[1], "off") == 0 || strcmp(argv[1], "calls") == 0)
        return read_options(argc - 3, argv + 3, arguments);
    if (argc < 5 || argv[3][0] != '/' || argv[4][0] != '/' ||
        (strcmp(argv[1], "sample") != 0 && strcmp(argv[1], "map") != 0 &&
         strcmp(argv[1], "jitdump") != 0))
        return false;
    arguments->library = argv[3];
    arguments->directory = argv[4];
    return read_options(argc - 5, argv + 5, arguments);
}

/* On a busy machine a thread that has stopped waits for us to get a CPU. Root alone may do it. */
static void hurry(void)
{
    enum { PROCESS = 0, FIRST = -20 }; /* sys/resource.h, PRIO_PROCESS */
    syscall(SYS_setpriority, PROCESS, 0, FIRST);
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    if (!read_arguments(argc, argv, &arguments))
        return usage();
    signals_block();
    hurry();
    int status = strcmp(arguments.action, "look") == 0 ? look(&arguments) : act(&arguments);
    return fflush(stdout) == 0 ? status : 1;
}
