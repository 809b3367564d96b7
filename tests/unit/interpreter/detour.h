/* detour.h - the detour on the small interpreter's evaluator, as lifecycle.c places it. */
#ifndef PYPERF_TEST_DETOUR_H
#define PYPERF_TEST_DETOUR_H

#include "preload/profile/profile.h"
#include "tests/unit/interpreter/interpreter.h"
#include "tests/unit/profile/files.h"

/* A version is up with a detour that is not committed; images and files go to the folder. */
void start_detour(unsigned major, unsigned minor);

/* And with profile_start and profile_arm, switched to a mode. */
void start_profile(unsigned major, unsigned minor, enum profile_mode mode);
void switch_to(enum profile_mode mode);

extern struct detour_plan detour;
extern int slow_ways; /* calls of hook_resolve */

/* The evaluator's first bytes are the interpreter's own. */
bool text_is_its_own(void);
void change_text(uint8_t byte); /* by somebody else; at its start */

/* Of run_code, in a trampoline: the function's id and its name; REGISTRY_NONE, "" for no trampoline. */
uint32_t run(python_object *code);
const char *name_run(python_object *code);

#endif
