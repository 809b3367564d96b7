#include "trampoline/unwind/walk.h"

#include <string.h>
#include <sys/mman.h>

#include "arch.h"
#include "arch_unwind.h"
#include "trampoline/base/readable.h"
#include "trampoline/unwind/eh_frame.h"

/* Rules by address. Threads store without a lock: an entry is valid if `check` agrees with the
 * rest. */
enum { RULES_BITS = 14, RULES = 1 << RULES_BITS };

struct kept_rule {
    uint64_t check;
    struct unwind_rule rule;
};

static struct kept_rule *rules;

bool unwind_start(void)
{
    void *memory = mmap(NULL, RULES * sizeof *rules, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    rules = memory;
    return true;
}

void unwind_finish(void)
{
    if (rules != NULL)
        munmap(rules, RULES * sizeof *rules);
    rules = NULL;
}

static uint64_t check_of(uintptr_t address, const struct unwind_rule *rule)
{
    return address ^ rule->cfa ^ (rule->frame << 1 | rule->frame >> 63) ^
           (rule->base << 2 | rule->base >> 62);
}

struct walk {
    struct unwind_stack *stack;
    struct readable memory;
    uint64_t now;
    code_map_seen *seen;
    uintptr_t from, to;  /* addresses of the stack that need not be tested */
    const void *context; /* all registers of the frame, if it was interrupted */
    bool changed;        /* code was unmapped */
    uint32_t last;       /* of the last stack: the frames that the walk has not passed */
    /* a frame of the last stack that is not what it was, or further outwards; UINT32_MAX: none */
    uint32_t differs;
};

static struct unwind_rule look_up(struct walk *walk, uintptr_t address, bool *keep)
{
    struct unwind_rule known;
    struct code_mapping mapping;
    struct eh_frame_function function;
    bool changed;
    enum code_map_answer answer = code_map_find(address, walk->now, walk->seen, &mapping, &changed);
    walk->changed |= changed;
    *keep = answer == CODE_MAP_FOUND;
    if (answer != CODE_MAP_FOUND)
        return rule_none();
    if (mapping.unwind == 0 || !eh_frame_find(mapping.unwind, mapping.limit, address, &function))
        return arch_rule_of_code(&walk->memory, address, &known) ? known : rule_none();
    return eh_frame_rule(&function, mapping.limit, address);
}

static struct unwind_rule rule_of(struct walk *walk, uintptr_t address)
{
    struct kept_rule *kept = &rules[(address * 0x9e3779b97f4a7c15u) >> (64 - RULES_BITS)];
    struct unwind_rule rule = {__atomic_load_n(&kept->rule.cfa, __ATOMIC_RELAXED),
                               __atomic_load_n(&kept->rule.frame, __ATOMIC_RELAXED),
                               __atomic_load_n(&kept->rule.base, __ATOMIC_RELAXED)};
    bool keep;
    if (__atomic_load_n(&kept->check, __ATOMIC_RELAXED) == check_of(address, &rule))
        return rule;
    rule = look_up(walk, address, &keep);
    if (keep) {
        __atomic_store_n(&kept->rule.cfa, rule.cfa, __ATOMIC_RELAXED);
        __atomic_store_n(&kept->rule.frame, rule.frame, __ATOMIC_RELAXED);
        __atomic_store_n(&kept->rule.base, rule.base, __ATOMIC_RELAXED);
        __atomic_store_n(&kept->check, check_of(address, &rule), __ATOMIC_RELAXED);
    }
    return rule;
}

static bool load(struct walk *walk, uintptr_t address, uintptr_t *word)
{
    bool known = address >= walk->from && address < walk->to;
    if ((address & 7) != 0 || (!known && !readable(&walk->memory, address, sizeof *word)))
        return false;
    *word = readable_word(address);
    return true;
}

static bool find_cfa(const struct walk *walk, const struct unwind_rule *rule,
                     struct unwind_frame *frame, uintptr_t *cfa)
{
    const struct unwind_registers *registers = &frame->registers;
    uintptr_t offset = (uintptr_t)rule_value(rule->cfa);
    switch (rule_kind(rule->cfa)) {
    case RULE_STACK:
        *cfa = registers->sp + offset;
        break;
    case RULE_FRAME:
        *cfa = registers->fp + offset;
        break;
    case RULE_REGISTER:
        if (offset % 32 == ARCH_DWARF_BASE_POINTER)
            *cfa = registers->base;
        else if (!frame->exact || !arch_register(walk->context, offset % 32, cfa))
            return false;
        *cfa += (uintptr_t)(rule_value(rule->cfa) >> 5);
        break;
    case RULE_EXPRESSION:
        if (!unwind_expression(offset, registers, false, 0, cfa, &frame->varies))
            return false;
        break;
    default:
        return false;
    }
    /* At an entry where the call has pushed nothing the two are equal. */
    bool moved =
        *cfa > registers->sp || (ARCH_CFA_AT_ENTRY == 0 && frame->exact && *cfa == registers->sp);
    return moved && (*cfa & 7) == 0;
}

/* The caller's frame pointer, and where it was read. */
static bool find_frame_pointer(struct walk *walk, const struct unwind_rule *rule,
                               struct unwind_frame *frame, uintptr_t cfa, uintptr_t *fp)
{
    const struct unwind_registers *registers = &frame->registers;
    uintptr_t value = (uintptr_t)rule_value(rule->frame), at = cfa + value;
    bool unused;
    *fp = registers->fp;
    switch (rule_kind(rule->frame)) {
    case RULE_SAME:
        return true;
    case RULE_EXPRESSION:
        if (!unwind_expression(value, registers, true, cfa, &at, &frame->varies))
            return false;
        break;
    case RULE_AT_CFA:
        break;
    default: /* RULE_VALUE: of trampolines, which read it where the stack pointer is */
        if (!unwind_expression(value, registers, true, cfa, fp, &unused))
            return false;
        at = registers->sp;
        if (!load(walk, at, &value) || value != *fp)
            frame->varies = true;
        else
            frame->saved = (int32_t)(at - cfa);
        return true;
    }
    frame->saved = (int32_t)(at - cfa);
    return load(walk, at, fp);
}

/* The return address, and where it was read. A call has pushed it; or it is in a register, which is
 * followed as the base pointer, and of which all but an interrupted function have stored the value. */
static bool find_return(struct walk *walk, const struct unwind_rule *rule,
                        struct unwind_frame *frame, uintptr_t cfa, uintptr_t *pc)
{
    const bool in_register = ARCH_DWARF_BASE_POINTER == ARCH_DWARF_RETURN_ADDRESS;
    frame->returns = -ARCH_CFA_AT_ENTRY;
    if (in_register && rule_kind(rule->base) == RULE_SAME) {
        frame->varies = true;
        *pc = arch_return_address(frame->registers.base);
        return frame->exact && *pc != 0;
    }
    if (in_register)
        frame->returns = (int32_t)rule_value(rule->base);
    if (!load(walk, cfa + (uintptr_t)(intptr_t)frame->returns, pc))
        return false;
    *pc = arch_return_address(*pc);
    return true;
}

enum step { STEP_CALLER, STEP_INTERRUPTED, STEP_END, STEP_CUT };

/* From a signal's frame to what it has interrupted. */
static enum step leave_signal(struct walk *walk, const struct unwind_frame *frame,
                              struct unwind_registers *caller)
{
    uintptr_t context = arch_signal_context(&frame->registers);
    if (!readable(&walk->memory, context, ARCH_SIGNAL_CONTEXT))
        return STEP_CUT;
    walk->context = (const void *)context;
    *caller = arch_interrupted(walk->context);
    return STEP_INTERRUPTED;
}

static enum step step(struct walk *walk, struct unwind_frame *frame, uintptr_t address,
                      struct unwind_registers *caller)
{
    struct unwind_rule rule = rule_of(walk, address);
    uintptr_t cfa;
    bool is_first = ARCH_FRAME_POINTER_ENDS && !frame->exact && frame->registers.fp == 0;
    if (rule_kind(rule.cfa) == RULE_END || (rule_kind(rule.cfa) == RULE_NONE && is_first))
        return STEP_END;
    if (rule_kind(rule.cfa) == RULE_SIGNAL)
        return leave_signal(walk, frame, caller);
    if (!find_cfa(walk, &rule, frame, &cfa))
        return STEP_CUT;
    if (cfa - frame->registers.sp <= UINT32_MAX)
        frame->span = (uint32_t)(cfa - frame->registers.sp);
    if (!find_frame_pointer(walk, &rule, frame, cfa, &caller->fp) ||
        !find_return(walk, &rule, frame, cfa, &caller->pc))
        return STEP_CUT;
    uintptr_t base = cfa + (uintptr_t)rule_value(rule.base);
    if (rule_kind(rule.base) == RULE_AT_CFA ? !load(walk, base, &caller->base)
                                            : rule_kind(rule.base) == RULE_NONE)
        caller->base = 0;
    if (rule_kind(rule.cfa) == RULE_REGISTER)
        frame->varies = true; /* depends on more than is compared */
    caller->sp = cfa;
    return caller->pc == 0 ? STEP_END : STEP_CALLER;
}

/* Whether the last stack, from `index` outwards, is still what it was. Returns the index of the
 * first frame whose step reads something else; 0: none. */
static uint32_t compared(struct walk *walk, uint32_t index)
{
    const struct unwind_frame *frames = walk->stack->frames;
    for (; index > 0; index--) {
        const struct unwind_frame *frame = &frames[index], *caller = frame - 1;
        uintptr_t cfa = frame->registers.sp + frame->span, word;
        if (frame->span == 0 || frame->varies ||
            !load(walk, cfa + (uintptr_t)(intptr_t)frame->returns, &word) ||
            arch_return_address(word) != caller->registers.pc)
            break;
        if (frame->saved != 0 && (!load(walk, cfa + (uintptr_t)(intptr_t)frame->saved, &word) ||
                                  word != caller->registers.fp))
            break;
    }
    return index;
}

/* Finds the frame of the last stack that the walk has come to. Returns how many frames of that
 * stack are still the same; 0: not known yet. */
static uint32_t met(struct walk *walk, const struct unwind_registers *registers)
{
    const struct unwind_frame *frames = walk->stack->frames;
    while (walk->last > 0 && frames[walk->last - 1].registers.sp < registers->sp)
        walk->last--;
    if (walk->last == 0 || walk->last > walk->differs)
        return 0;
    const struct unwind_frame *frame = &frames[walk->last - 1];
    if (frame->exact || frame->span == 0 || frame->registers.sp != registers->sp ||
        frame->registers.pc != registers->pc || frame->registers.fp != registers->fp)
        return 0;
    walk->differs = compared(walk, walk->last - 1);
    return walk->differs == 0 ? walk->last : 0;
}

/* Puts the fresh frames on top of the `kept` outermost ones, of which the innermost stay if there
 * is no room for all. */
static void put_together(struct unwind_stack *stack, uint32_t kept, uint32_t fresh)
{
    if (kept + fresh > UNWIND_FRAMES) {
        uint32_t dropped = kept + fresh - UNWIND_FRAMES;
        kept -= dropped;
        memmove(stack->frames, stack->frames + dropped, kept * sizeof *stack->frames);
        stack->cut = true;
    }
    for (uint32_t i = 0; i < fresh; i++)
        stack->frames[kept + i] = stack->fresh[fresh - 1 - i];
    stack->count = kept + fresh;
    struct unwind_frame *innermost = &stack->frames[stack->count - 1];
    stack->above = innermost->span;
    innermost->span = 0;
}

/* Finds out how much of the stack need not be tested, word by word. */
static void know_stack(struct walk *walk, uintptr_t sp)
{
    enum { GROWN = 256 << 10 };
    struct unwind_stack *stack = walk->stack;
    if (sp < stack->low && stack->low - sp < GROWN && readable(&walk->memory, sp, stack->low - sp))
        stack->low = sp & ~(uintptr_t)(READABLE_PAGE - 1);
    if (sp < stack->low || sp >= stack->top)
        stack->low = stack->top = 0; /* another stack: of a fiber, or for signals */
    walk->from = sp;
    walk->to = stack->top;
}

/* After a whole walk: its frames are on the stack of the thread, if no signal's stack is
 * between. */
static void learn_stack(struct unwind_stack *stack, uintptr_t sp)
{
    enum { LARGEST = 1 << 20 }; /* each page is tested, once */
    uintptr_t top = stack->frames[0].registers.sp;
    if (stack->cut || stack->top != 0 || top < sp || top - sp > LARGEST)
        return;
    struct readable memory = {{0}};
    if (readable(&memory, sp, top - sp + sizeof top)) {
        stack->low = sp & ~(uintptr_t)(READABLE_PAGE - 1);
        stack->top = top;
    }
}

static void walk_once(struct walk *walk, const void *context)
{
    struct unwind_registers registers = arch_interrupted(context);
    struct unwind_stack *stack = walk->stack;
    bool cut = true;
    uint32_t fresh = 0, kept = 0;
    enum step done = STEP_INTERRUPTED;
    uintptr_t sp = registers.sp;
    know_stack(walk, sp);
    walk->context = context;
    walk->last = stack->cut ? 0 : stack->count; /* what has cut it may be over */
    walk->differs = UINT32_MAX;
    while (fresh < UNWIND_FRAMES && (done == STEP_CALLER || done == STEP_INTERRUPTED)) {
        bool exact = done == STEP_INTERRUPTED;
        if (!exact && (kept = met(walk, &registers)) > 0) {
            cut = stack->cut;
            break;
        }
        struct unwind_frame *frame = &stack->fresh[fresh++];
        *frame = (struct unwind_frame){.registers = registers, .exact = exact};
        done = step(walk, frame, registers.pc - !exact, &registers);
        if (done == STEP_END)
            cut = false;
    }
    stack->cut = cut;
    put_together(stack, kept, fresh);
    learn_stack(stack, sp);
}

static void forget_all(struct unwind_stack *stack)
{
    stack->count = 0;
    for (size_t i = 0; i < RULES; i++)
        __atomic_store_n(&rules[i].check, 0, __ATOMIC_RELAXED);
}

bool unwind_walk(struct unwind_stack *stack, const void *context, uint64_t now, code_map_seen *seen)
{
    struct walk walk = {.stack = stack, .now = now, .seen = seen};
    bool changed = code_map_look(now, seen);
    if (changed)
        forget_all(stack);
    walk_once(&walk, context);
    if (walk.changed) {
        forget_all(stack);
        walk_once(&walk, context);
        changed = true;
    }
    return changed;
}

uintptr_t unwind_cfa(const struct unwind_stack *stack, uint32_t index)
{
    const struct unwind_frame *frame = &stack->frames[index];
    uint32_t span = index + 1 == stack->count ? stack->above : frame->span;
    return span == 0 ? 0 : frame->registers.sp + span;
}

uintptr_t unwind_address(const struct unwind_stack *stack, uint32_t index)
{
    const struct unwind_frame *frame = &stack->frames[index];
    return frame->registers.pc - !frame->exact;
}
