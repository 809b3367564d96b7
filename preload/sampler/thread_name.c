#include "preload/sampler/thread_name.h"

#include <string.h>

#include "preload/sampler/proc_file.h"

void thread_name(uint32_t thread, char name[THREAD_NAME])
{
    char path[PROC_PATH], text[THREAD_NAME + 1];
    proc_path(path, thread, "/comm");
    memset(name, 0, THREAD_NAME);
    if (proc_read(path, text, sizeof text) > 0)
        memcpy(name, text, strcspn(text, "\n"));
}
