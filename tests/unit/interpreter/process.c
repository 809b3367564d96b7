#include "tests/unit/interpreter/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static uint8_t own_text[16];

const void *process_evaluator(void)
{
    return (const void *)(version.major == 2 ? (uintptr_t)PyEval_EvalFrameEx
                                             : (uintptr_t)_PyEval_EvalFrameDefault);
}

bool process_text_is_own(void)
{
    return memcmp(own_text, process_evaluator(), sizeof own_text) == 0;
}

void process_load(void)
{
    catch_reports();
    interpreter_load(version.major, version.minor);
    memcpy(own_text, process_evaluator(), sizeof own_text);
}

void process_run(void)
{
    interpreter_enter(interpreter.main);
    define_sys(true);
    python_object *members = PyDict_New(), *member = new_string("member");
    dictionary_set(members, "co_name", member);
    put_field((python_object *)PyCode_Type, interpreter.row.head + TYPE_DICT, members);
}

void process_move_to_plan_library(void)
{
    static char moved[1000];
    char path[500] = "";
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    const char *name = length < 0 ? "" : strrchr(path, '/');
    snprintf(moved, sizeof moved, "%s%s", PLAN_FOLDER, name);
    if (strcmp(path, moved) == 0)
        return;
    unlink(moved);
    if (link(path, moved) == 0)
        execv(moved, (char *[]){moved, NULL});
    perror(moved);
    exit(EXIT_FAILURE);
}
