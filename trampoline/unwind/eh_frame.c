#include "trampoline/unwind/eh_frame.h"

#include "arch.h"
#include "trampoline/unwind/dwarf_cursor.h"

struct cie {
    uint64_t code_alignment;
    int64_t data_alignment;
    uint8_t encoding; /* of pointers in its FDEs */
    bool has_sizes, is_signal;
    uintptr_t instructions, end;
};

/* The row of a table of rules: of the registers that matter. */
struct row {
    struct unwind_rule rule;
    uint64_t cfa_register;
    int64_t cfa_offset;
    enum { RETURN_KNOWN, RETURN_UNDEFINED, RETURN_ELSEWHERE } address;
};

struct program {
    struct dwarf_cursor code;
    const struct cie *cie;
    const struct row *initial;
    uintptr_t location, target;
    struct row row;
};

/* A pointer as DW_EH_PE_* says; `base` is that of DW_EH_PE_datarel. */
static uintptr_t read_pointer(struct dwarf_cursor *cursor, uint8_t encoding, uintptr_t base)
{
    uintptr_t here = cursor->at, value = 0;
    switch (encoding & 15) {
    case DW_EH_PE_absptr:
    case DW_EH_PE_udata8:
    case DW_EH_PE_sdata8:
        value = dwarf_unsigned(cursor, 8);
        break;
    case DW_EH_PE_udata2:
        value = dwarf_unsigned(cursor, 2);
        break;
    case DW_EH_PE_udata4:
        value = dwarf_unsigned(cursor, 4);
        break;
    case DW_EH_PE_sdata2:
        value = (uintptr_t)dwarf_signed(cursor, 2);
        break;
    case DW_EH_PE_sdata4:
        value = (uintptr_t)dwarf_signed(cursor, 4);
        break;
    default:
        cursor->failed = true;
    }
    switch (encoding & 0x70) {
    case DW_EH_PE_absptr:
        return value;
    case DW_EH_PE_pcrel:
        return value + here;
    case DW_EH_PE_datarel:
        return value + base;
    default:
        cursor->failed = true;
        return 0;
    }
}

static void read_augmentation(struct dwarf_cursor *cursor, const char *letters, struct cie *cie)
{
    for (; *letters != '\0'; letters++) {
        switch (*letters) {
        case 'R':
            cie->encoding = dwarf_byte(cursor);
            break;
        case 'L':
            dwarf_byte(cursor);
            break;
        case 'P':
            read_pointer(cursor, dwarf_byte(cursor) & 0x7f, 0);
            break;
        case 'S':
            cie->is_signal = true;
            break;
        default: /* the rest is skipped, by the size */
            return;
        }
    }
}

/* Reads the length of a CIE or FDE; the cursor then ends where the entry does. */
static bool open_entry(struct dwarf_cursor *cursor)
{
    enum { LONG_FORM = 0xffffffff };
    uint64_t length = dwarf_unsigned(cursor, 4);
    if (cursor->failed || length == 0 || length == LONG_FORM || length > cursor->end - cursor->at)
        return false;
    cursor->end = cursor->at + length;
    return true;
}

/* Skips data behind their size. */
static void skip(struct dwarf_cursor *cursor, uint64_t size)
{
    if (cursor->failed || size > cursor->end - cursor->at)
        cursor->failed = true;
    else
        cursor->at += size;
}

static bool read_cie(struct dwarf_cursor cursor, struct cie *cie)
{
    char letters[8];
    size_t count = 0;
    *cie = (struct cie){.encoding = DW_EH_PE_absptr};
    if (!open_entry(&cursor) || dwarf_unsigned(&cursor, 4) != 0)
        return false;
    uint8_t version = dwarf_byte(&cursor);
    do {
        if (count == sizeof letters)
            return false;
        letters[count] = (char)dwarf_byte(&cursor);
    } while (letters[count++] != '\0');
    cie->code_alignment = dwarf_uleb(&cursor);
    cie->data_alignment = dwarf_sleb(&cursor);
    uint64_t address = version == 1 ? dwarf_byte(&cursor) : dwarf_uleb(&cursor);
    if (letters[0] == 'z') {
        cie->has_sizes = true;
        uint64_t size = dwarf_uleb(&cursor);
        struct dwarf_cursor inside = cursor;
        read_augmentation(&inside, letters + 1, cie);
        skip(&cursor, size);
    } else if (letters[0] != '\0') {
        return false;
    }
    cie->instructions = cursor.at;
    cie->end = cursor.end;
    return !cursor.failed && address == ARCH_DWARF_RETURN_ADDRESS;
}

/* Opens an FDE: its CIE, its function; the cursor is at its instructions. */
static bool open_function(struct dwarf_cursor *cursor, struct cie *cie, uintptr_t *begin,
                          uintptr_t *size)
{
    uintptr_t end = cursor->end;
    if (!open_entry(cursor))
        return false;
    uintptr_t here = cursor->at;
    struct dwarf_cursor other = {.at = here - dwarf_unsigned(cursor, 4), .end = end};
    if (!read_cie(other, cie))
        return false;
    *begin = read_pointer(cursor, cie->encoding, 0);
    *size = read_pointer(cursor, cie->encoding & 15, 0);
    if (cie->has_sizes)
        skip(cursor, dwarf_uleb(cursor));
    return !cursor->failed;
}

bool eh_frame_find(uintptr_t header, uintptr_t end, uintptr_t pc,
                   struct eh_frame_function *function)
{
    /* LSB core specification, 10.6.2. All linkers write this encoding of the table. */
    enum { VERSION = 1, TABLE = DW_EH_PE_datarel | DW_EH_PE_sdata4, ENTRY = 8 };
    struct dwarf_cursor cursor = {.at = header, .end = end};
    uint8_t version = dwarf_byte(&cursor), pointer = dwarf_byte(&cursor),
            count = dwarf_byte(&cursor), table = dwarf_byte(&cursor);
    if (cursor.failed || version != VERSION || table != TABLE)
        return false;
    read_pointer(&cursor, pointer, header);
    uint64_t entries = read_pointer(&cursor, count, header);
    uintptr_t first = cursor.at, low = 0, high = entries;
    if (cursor.failed || entries > (end - first) / ENTRY)
        return false;
    while (low < high) { /* the last entry at or below pc is at low - 1 */
        uintptr_t middle = low + (high - low) / 2;
        cursor.at = first + middle * ENTRY;
        if (header + (uintptr_t)dwarf_signed(&cursor, 4) <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return false;
    cursor.at = first + (low - 1) * ENTRY + 4;
    function->fde = header + (uintptr_t)dwarf_signed(&cursor, 4);
    struct cie cie;
    uintptr_t size;
    cursor.at = function->fde;
    if (cursor.failed || function->fde >= end ||
        !open_function(&cursor, &cie, &function->begin, &size))
        return false;
    function->end = function->begin + size;
    return pc - function->begin < size;
}

/* Of damaged data the product may be too large: it then has any value. */
static int64_t scaled(uint64_t number, int64_t unit)
{
    return (int64_t)(number * (uint64_t)unit);
}

/* Whether that is where walk.c finds the return address: where a call has pushed it; or, where a call
 * leaves it in a register, there or at any place from the CFA. */
static bool is_return(enum rule_kind kind, int64_t value)
{
    if (ARCH_CFA_AT_ENTRY != 0)
        return kind == RULE_AT_CFA && value == -ARCH_CFA_AT_ENTRY;
    return kind == RULE_AT_CFA || kind == RULE_SAME;
}

static void set_frame(struct program *program, uint64_t number, enum rule_kind kind, int64_t value)
{
    if (number == ARCH_DWARF_FRAME_POINTER)
        program->row.rule.frame = rule_word(kind, value);
    if (number == ARCH_DWARF_BASE_POINTER)
        program->row.rule.base =
            rule_word(kind == RULE_SAME || kind == RULE_AT_CFA ? kind : RULE_NONE, value);
    if (number == ARCH_DWARF_RETURN_ADDRESS)
        program->row.address = is_return(kind, value) ? RETURN_KNOWN : RETURN_ELSEWHERE;
}

static void set_cfa(struct program *program, uint64_t number, int64_t offset)
{
    struct row *row = &program->row;
    row->cfa_register = number;
    row->cfa_offset = offset;
    if (number == ARCH_DWARF_STACK_POINTER)
        row->rule.cfa = rule_word(RULE_STACK, offset);
    else if (number == ARCH_DWARF_FRAME_POINTER)
        row->rule.cfa = rule_word(RULE_FRAME, offset);
    else if (number < 32) /* what rule_based can hold */
        row->rule.cfa = rule_word(RULE_REGISTER, rule_based(number, offset));
    else
        row->rule.cfa = rule_word(RULE_NONE, 0);
}

static void restore(struct program *program, uint64_t number)
{
    if (number == ARCH_DWARF_FRAME_POINTER)
        program->row.rule.frame = program->initial->rule.frame;
    if (number == ARCH_DWARF_BASE_POINTER)
        program->row.rule.base = program->initial->rule.base;
    if (number == ARCH_DWARF_RETURN_ADDRESS)
        program->row.address = program->initial->address;
}

static void undefine(struct program *program, uint64_t number)
{
    if (number == ARCH_DWARF_FRAME_POINTER)
        program->row.rule.frame = rule_word(RULE_SAME, 0);
    if (number == ARCH_DWARF_RETURN_ADDRESS)
        program->row.address = RETURN_UNDEFINED;
}

/* Remembers a block, and skips it. */
static uintptr_t block(struct program *program)
{
    uintptr_t here = program->code.at;
    skip(&program->code, dwarf_uleb(&program->code));
    return here;
}

/* Instructions on one register. */
static void change_register(struct program *program, uint8_t instruction)
{
    struct dwarf_cursor *code = &program->code;
    int64_t unit = program->cie->data_alignment;
    uint64_t number = dwarf_uleb(code);
    switch (instruction) {
    case DW_CFA_offset_extended:
        set_frame(program, number, RULE_AT_CFA, scaled(dwarf_uleb(code), unit));
        break;
    case DW_CFA_offset_extended_sf:
        set_frame(program, number, RULE_AT_CFA, scaled((uint64_t)dwarf_sleb(code), unit));
        break;
    case DW_CFA_restore_extended:
        restore(program, number);
        break;
    case DW_CFA_undefined:
        undefine(program, number);
        break;
    case DW_CFA_same_value:
        set_frame(program, number, RULE_SAME, 0);
        break;
    case DW_CFA_expression:
        set_frame(program, number, RULE_EXPRESSION, (int64_t)block(program));
        break;
    case DW_CFA_val_expression:
        set_frame(program, number, RULE_VALUE, (int64_t)block(program));
        break;
    default: /* DW_CFA_register, DW_CFA_val_offset, DW_CFA_val_offset_sf */
        dwarf_uleb(code);
        set_frame(program, number, RULE_NONE, 0);
    }
}

/* Instructions on the CFA; false for any other. */
static bool change_cfa(struct program *program, uint8_t instruction)
{
    struct dwarf_cursor *code = &program->code;
    int64_t unit = program->cie->data_alignment;
    uint64_t number = program->row.cfa_register;
    switch (instruction) {
    case DW_CFA_def_cfa:
        number = dwarf_uleb(code);
        set_cfa(program, number, (int64_t)dwarf_uleb(code));
        return true;
    case DW_CFA_def_cfa_sf:
        number = dwarf_uleb(code);
        set_cfa(program, number, scaled((uint64_t)dwarf_sleb(code), unit));
        return true;
    case DW_CFA_def_cfa_register:
        set_cfa(program, dwarf_uleb(code), program->row.cfa_offset);
        return true;
    case DW_CFA_def_cfa_offset:
        set_cfa(program, number, (int64_t)dwarf_uleb(code));
        return true;
    case DW_CFA_def_cfa_offset_sf:
        set_cfa(program, number, scaled((uint64_t)dwarf_sleb(code), unit));
        return true;
    case DW_CFA_def_cfa_expression:
        program->row.rule.cfa = rule_word(RULE_EXPRESSION, (int64_t)block(program));
        return true;
    default:
        return false;
    }
}

/* The next location if the instruction is one that moves on, else the present one. */
static uintptr_t advanced(struct program *program, uint8_t instruction)
{
    struct dwarf_cursor *code = &program->code;
    uint64_t unit = program->cie->code_alignment;
    switch (instruction) {
    case DW_CFA_set_loc:
        return read_pointer(code, program->cie->encoding, 0);
    case DW_CFA_advance_loc1:
        return program->location + dwarf_unsigned(code, 1) * unit;
    case DW_CFA_advance_loc2:
        return program->location + dwarf_unsigned(code, 2) * unit;
    case DW_CFA_advance_loc4:
        return program->location + dwarf_unsigned(code, 4) * unit;
    default:
        return program->location + (instruction & 0x3f) * unit;
    }
}

static bool is_advance(uint8_t instruction)
{
    return (instruction & 0xc0) == DW_CFA_advance_loc ||
           (instruction >= DW_CFA_set_loc && instruction <= DW_CFA_advance_loc4);
}

static void execute(struct program *program, uint8_t instruction)
{
    struct dwarf_cursor *code = &program->code;
    uint8_t low = instruction & 0x3f;
    if ((instruction & 0xc0) == DW_CFA_offset)
        set_frame(program, low, RULE_AT_CFA,
                  scaled(dwarf_uleb(code), program->cie->data_alignment));
    else if ((instruction & 0xc0) == DW_CFA_restore)
        restore(program, low);
    else if (instruction == DW_CFA_GNU_args_size)
        dwarf_uleb(code);
    else if (instruction == DW_CFA_nop || instruction == ARCH_DWARF_SIGNED ||
             change_cfa(program, instruction)) /* a signature is taken off wherever there is one */
        return;
    else if (instruction <= DW_CFA_val_expression)
        change_register(program, instruction);
    else
        code->failed = true;
}

/* Runs the instructions up to the row of the target. False if they make no sense. */
static bool run(struct program *program)
{
    enum { REMEMBERED = 8 };
    struct row remembered[REMEMBERED];
    unsigned count = 0;
    while (program->code.at < program->code.end && !program->code.failed) {
        uint8_t instruction = dwarf_byte(&program->code);
        if (is_advance(instruction)) {
            uintptr_t next = advanced(program, instruction);
            if (next > program->target)
                return !program->code.failed;
            program->location = next;
        } else if (instruction == DW_CFA_remember_state) {
            if (count == REMEMBERED)
                return false;
            remembered[count++] = program->row;
        } else if (instruction == DW_CFA_restore_state) {
            if (count == 0)
                return false;
            program->row = remembered[--count];
        } else {
            execute(program, instruction);
        }
    }
    return !program->code.failed;
}

struct unwind_rule eh_frame_rule(const struct eh_frame_function *function, uintptr_t end,
                                 uintptr_t pc)
{
    const struct unwind_rule none = rule_none();
    struct dwarf_cursor cursor = {.at = function->fde, .end = end};
    struct cie cie;
    uintptr_t begin, size;
    if (!open_function(&cursor, &cie, &begin, &size))
        return none;
    if (cie.is_signal)
        return (struct unwind_rule){rule_word(RULE_SIGNAL, 0), none.frame, none.base};
    struct row initial = {.rule = none};
    struct program program = {
        .cie = &cie, .initial = &initial, .row = initial, .target = UINTPTR_MAX};
    program.code = (struct dwarf_cursor){.at = cie.instructions, .end = cie.end};
    if (!run(&program))
        return none;
    initial = program.row;
    program.code = cursor;
    program.location = begin;
    program.target = pc;
    if (!run(&program))
        return none;
    struct row *row = &program.row;
    if (row->address == RETURN_UNDEFINED)
        return (struct unwind_rule){rule_word(RULE_END, 0), none.frame, none.base};
    if (row->address == RETURN_ELSEWHERE || rule_kind(row->rule.frame) == RULE_NONE)
        return none;
    return row->rule;
}
