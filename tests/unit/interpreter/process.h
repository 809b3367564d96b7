/* process.h - a process with the small interpreter, before anything of libpyperf was called. */
#ifndef PYPERF_TEST_PROCESS_H
#define PYPERF_TEST_PROCESS_H

#include "tests/unit/interpreter/interpreter.h"
#include "tests/unit/profile/files.h"

/* `version` is loaded, and the bytes of its evaluator's entry are remembered. */
void process_load(void);

/* This thread enters the main interpreter, which has sys; in 2.7 its types get their members. */
void process_run(void);

const void *process_evaluator(void);
bool process_text_is_own(void); /* as it was when it was loaded */

/* For main: runs the test again from the folder that holds libpyperf-plan.so, which is looked for
 * beside the file that has the code. */
void process_move_to_plan_library(void);

#endif
