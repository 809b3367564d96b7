/* stack_track.c - see stack_track.h.
 *
 *     push %rbx                 CFA = rsp + 16, rbx at CFA - 16
 *     sub  $0x20,%rsp           CFA = rsp + 48
 *     ...
 *     add  $0x20,%rsp           CFA = rsp + 16
 *     pop  %rbx                 CFA = rsp + 8
 *     ret */
#include "stack_track.h"

#include <capstone/capstone.h>
#include <stdlib.h>

#include "stack_frame.h"

enum { TABLE_MAX = 1024, TABLE_ENTRY = 4 };

/* What a path has seen of addresses that code takes. */
struct taken {
    uint64_t by[X86_REG_ENDING]; /* the last lea to each register */
    uint64_t table;              /* the last one that was read with an index, */
    uint64_t entries;            /* and how many it has, as far as known */
    uint64_t compared, bound;    /* of the last comparison, and of the last one that ja followed */
};

struct path {
    uint64_t address; /* of the next instruction */
    struct stack_frame frame;
    struct taken taken;
};

struct stack_track {
    struct stack_code code;
    struct stack_frames frames;
    struct instruction {
        uint32_t owner; /* offset of the function whose path has reached it first */
        uint16_t frame; /* number in frames; 0: not reached */
        uint8_t length;
        bool conflict;   /* two paths reach it with different frames */
        bool function;   /* one begins here, */
        bool never_ends; /* which is known not to return, as exit */
    } * at;
    uint64_t owner; /* the function that is being followed, */
    bool returns;   /* and may return */
    struct path *paths;
    size_t path_count, path_room;
    bool no_memory, found_more;
    csh disassembler;
    cs_insn *instruction;
};

static struct instruction *at(const struct stack_track *track, uint64_t address)
{
    uint64_t offset = address - track->code.start;
    return offset < track->code.size ? &track->at[offset] : NULL;
}

void stack_track_function(struct stack_track *track, uint64_t address)
{
    struct instruction *place = at(track, address);
    if (place == NULL || place->function)
        return;
    place->function = true;
    track->found_more = true;
}

bool stack_track_is_function(const struct stack_track *track, uint64_t address)
{
    const struct instruction *place = at(track, address);
    return place != NULL && place->function;
}

/* Another path, of what `from` has seen. */
static void add_path(struct stack_track *track, uint64_t address, const struct path *from)
{
    if (at(track, address) == NULL)
        return;
    if (track->path_count == track->path_room) {
        size_t room = track->path_room * 2 + 256;
        struct path *larger = realloc(track->paths, room * sizeof *larger);
        if (larger == NULL) {
            track->no_memory = true;
            return;
        }
        track->paths = larger;
        track->path_room = room;
    }
    track->paths[track->path_count] = *from;
    track->paths[track->path_count++].address = address;
}

/* Marks the instruction; false if this path ends here. */
static bool reach(struct stack_track *track, uint64_t address, const struct stack_frame *frame)
{
    struct instruction *place = at(track, address);
    uint16_t number = stack_frames_number(&track->frames, frame);
    if (number == 0) {
        track->no_memory = true;
        return false;
    }
    if (place->frame != 0) {
        const struct stack_frame *other = stack_frames_get(&track->frames, place->frame);
        if (place->frame != number && !stack_frame_same_place(other, frame))
            place->conflict = true;
        track->returns |= place->owner != track->owner;
        return false;
    }
    place->owner = (uint32_t)track->owner;
    place->frame = number;
    place->length = (uint8_t)track->instruction->size;
    return true;
}

/* cmp $last,%i; ja; lea table(%rip),%b; movslq (%b,%i,4),%r; add %b,%r; jmp *%r */
static void follow_table(struct stack_track *track, const struct path *path)
{
    uint64_t table = path->taken.table;
    int32_t entry;
    for (uint64_t i = 0; i < path->taken.entries; i++) {
        if (!track->code.read(track->code.context, table + i * sizeof entry, &entry, sizeof entry))
            return;
        uint64_t target = table + (uint64_t)(int64_t)entry;
        const struct instruction *place = at(track, target);
        if (place == NULL || place->function)
            return;
        add_path(track, target, path);
    }
}

static bool never_ends(const struct stack_track *track, uint64_t function)
{
    const struct instruction *place = at(track, function);
    return place != NULL && place->never_ends;
}

/* Returns whether the path goes on behind it. */
static bool call(struct stack_track *track, const cs_x86_op *to)
{
    if (to->type != X86_OP_IMM)
        return true;
    stack_track_function(track, (uint64_t)to->imm);
    return !never_ends(track, (uint64_t)to->imm);
}

/* The same. To another function it is the last call of this one. */
static bool jump(struct stack_track *track, const cs_x86_op *to, const struct path *path)
{
    bool direct = to->type == X86_OP_IMM;
    if (direct && !stack_track_is_function(track, (uint64_t)to->imm))
        add_path(track, (uint64_t)to->imm, path);
    else if (direct)
        track->returns |= !never_ends(track, (uint64_t)to->imm);
    else if (path->taken.table != 0)
        follow_table(track, path);
    else
        track->returns = true;
    return direct && track->instruction->id != X86_INS_JMP;
}

static bool is_in(const struct stack_track *track, unsigned group)
{
    return cs_insn_group(track->disassembler, track->instruction, group);
}

static bool stops(const struct stack_track *track)
{
    unsigned id = track->instruction->id;
    return id == X86_INS_HLT || id == X86_INS_UD2 || id == X86_INS_INT3 ||
           is_in(track, CS_GRP_RET) || is_in(track, CS_GRP_IRET);
}

static void note_address(struct stack_track *track, struct taken *taken)
{
    const cs_insn *instruction = track->instruction;
    const cs_x86_op *operands = instruction->detail->x86.operands;
    if (instruction->id == X86_INS_CMP && operands[1].type == X86_OP_IMM)
        taken->compared = (uint64_t)operands[1].imm;
    if (instruction->id == X86_INS_JA && taken->compared < TABLE_MAX)
        taken->bound = taken->compared + 1;
    if (instruction->id == X86_INS_MOVSXD && operands[1].type == X86_OP_MEM &&
        operands[1].mem.scale == TABLE_ENTRY) {
        taken->table = taken->by[operands[1].mem.base];
        taken->entries = taken->bound != 0 ? taken->bound : TABLE_MAX;
        taken->bound = 0;
    }
    if (instruction->id != X86_INS_LEA || operands[1].mem.base != X86_REG_RIP)
        return;
    uint64_t address = instruction->address + instruction->size + (uint64_t)operands[1].mem.disp;
    taken->by[operands[0].reg] = address;
    if (at(track, address) != NULL)
        stack_track_function(track, address);
}

static void follow(struct stack_track *track, struct path path)
{
    bool called = false, goes_on = true;
    for (bool first = true; goes_on && at(track, path.address) != NULL; first = false) {
        uint64_t here = path.address, offset = here - track->code.start;
        if (!first && stack_track_is_function(track, here)) {
            track->returns |= !called; /* otherwise that call does not return */
            return;
        }
        const uint8_t *bytes = track->code.bytes + offset;
        size_t left = track->code.size - offset;
        if (!cs_disasm_iter(track->disassembler, &bytes, &left, &path.address,
                            track->instruction) ||
            !reach(track, here, &path.frame))
            return;
        const cs_x86_op *to = &track->instruction->detail->x86.operands[0];
        note_address(track, &path.taken);
        called = is_in(track, CS_GRP_CALL);
        track->returns |= is_in(track, CS_GRP_RET);
        if (called)
            goes_on = call(track, to);
        else if (is_in(track, CS_GRP_JUMP))
            goes_on = jump(track, to, &path);
        else
            goes_on = !stops(track) &&
                      stack_frame_step(&path.frame, track->disassembler, track->instruction);
    }
}

static void follow_function(struct stack_track *track, uint64_t offset)
{
    track->owner = offset;
    track->returns = false;
    const struct path entry = {.frame = stack_frame_of_entry};
    add_path(track, track->code.start + offset, &entry);
    while (track->path_count > 0)
        follow(track, track->paths[--track->path_count]);
    if (track->returns || track->at[offset].never_ends)
        return;
    track->at[offset].never_ends = true;
    track->found_more = true;
}

/* Again whenever something was found that an earlier path may have run past: the beginning of a
 * function, or that one never returns. */
bool stack_track_run(struct stack_track *track)
{
    do {
        track->found_more = false;
        for (uint64_t i = 0; i < track->code.size; i++)
            track->at[i] = (struct instruction){.function = track->at[i].function,
                                                .never_ends = track->at[i].never_ends};
        for (uint64_t i = 0; i < track->code.size; i++)
            if (track->at[i].function)
                follow_function(track, i);
    } while (track->found_more && !track->no_memory);
    return !track->no_memory;
}

bool stack_track_row(const struct stack_track *track, uint64_t address, struct stack_row *row)
{
    const struct instruction *place = at(track, address);
    for (; place != NULL && (place->frame == 0 || place->conflict); place = at(track, address))
        address++;
    if (place == NULL)
        return false;
    stack_frame_describe(stack_frames_get(&track->frames, place->frame), row);
    row->address = address;
    do {
        address += place->length;
        const struct instruction *following = at(track, address);
        if (following == NULL || following->frame != place->frame || following->conflict ||
            following->function)
            break;
        place = following;
    } while (true);
    row->end = address;
    return true;
}

struct stack_track *stack_track_open(const struct stack_code *code)
{
    struct stack_track *track = calloc(1, sizeof *track);
    if (track == NULL)
        return NULL;
    track->code = *code;
    track->at = calloc(code->size, sizeof *track->at);
    if (cs_open(CS_ARCH_X86, CS_MODE_64, &track->disassembler) == CS_ERR_OK &&
        cs_option(track->disassembler, CS_OPT_DETAIL, CS_OPT_ON) == CS_ERR_OK)
        track->instruction = cs_malloc(track->disassembler);
    if (track->at != NULL && track->instruction != NULL && stack_frames_open(&track->frames))
        return track;
    stack_track_close(track);
    return NULL;
}

void stack_track_close(struct stack_track *track)
{
    if (track == NULL)
        return;
    stack_frames_close(&track->frames);
    if (track->instruction != NULL)
        cs_free(track->instruction, 1);
    if (track->disassembler != 0)
        cs_close(&track->disassembler);
    free(track->paths);
    free(track->at);
    free(track);
}
