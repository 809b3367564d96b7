/* script.h - the file that the interpreter runs at its safe point (safe_point.h): it imports
 * libpyperf as an extension module, whose init function serves the request and gives no module (attach.h).
 *
 * So there is nothing left in sys.modules, and no ctypes is needed. The interpreter runs it in a
 * namespace of its own. */
#ifndef PYPERF_ATTACH_SCRIPT_H
#define PYPERF_ATTACH_SCRIPT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "preload/attach/refusal.h"

struct script {
    int folder; /* -1: there is no file */
    char name[64];
    char path[PATH_MAX]; /* as the process sees it */
};

/* Makes the file in the root of the process, in `directory`, or in /tmp and other places where that
 * is "" or will not do. library: its path as the process sees it; loaded: it is there already, and
 * must not be loaded a second time. False with the reason. */
bool script_make(struct script *script, pid_t pid, const char *directory, const char *library,
                 bool loaded, struct refusal *why);

/* The error of the import; false: there is none, or none yet. */
bool script_said(const struct script *script, char *text, size_t size);

/* Removes it. */
void script_remove(struct script *script);

/* Removes one that a killed pyperf-attach has left, and returns true; false: it is another's. */
bool script_remove_left(pid_t pid, const char *path);

#endif
