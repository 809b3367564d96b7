/* detour.h - the detour on the small interpreter's evaluator, as lifecycle.c places it. */
#ifndef PYPERF_TEST_DETOUR_H
#define PYPERF_TEST_DETOUR_H

#include "preload/profile/profile.h"
#include "tests/unit/interpreter/interpreter.h"
#include "tests/unit/profile/files.h"

/* Starts a version with a detour that is not committed; images and files go to the folder. */
void start_detour(unsigned major, unsigned minor);

/* The same, after profile_start and profile_arm, switched to a mode. */
void start_profile(unsigned major, unsigned minor, enum profile_mode mode);
void switch_to(enum profile_mode mode);

extern struct detour_plan detour;
extern int slow_ways; /* calls of hook_resolve */

/* Whether the evaluator's first bytes are unchanged. */
bool text_is_its_own(void);
void change_text(uint8_t byte); /* as another tool does; at its entry */

/* The function's id and name for an address that run_code returned; REGISTRY_NONE and "" if it is
 * in no trampoline. */
uint32_t run(python_object *code);
const char *name_run(python_object *code);

#endif
