/* planting.h - the parts of plant.h's procedure: one request on its way. */
#ifndef PYPERF_ATTACH_PLANTING_H
#define PYPERF_ATTACH_PLANTING_H

#include "attach_blob.h"
#include "preload/attach/plant.h"
#include "preload/attach/remote_call.h"

struct planting {
    struct target *target;
    const struct python_place *place;
    const struct plant_request *request;
    struct plant_figures *figures;
    struct gadgets gadgets;
    uint64_t base;            /* 0: not mapped */
    bool written, executable; /* the blob's code */
    bool stays;               /* until the process calls a Python function */
    union {
        struct attach_blob blob;
        uint8_t bytes[BLOB_STACK]; /* data and code */
    } u;
};

/* Fills in the parts of the blob that depend neither on its address nor on interpreters: functions of
 * the C library, strings, the request. */
bool planting_fill(struct planting *planting, struct refusal *why);

/* Of the mapping. */
uint64_t planting_size(const struct planting *planting);

/* Fills in a slot for each pointer that there is now. pre: the base is known. */
bool planting_fill_slots(struct planting *planting, struct refusal *why);

/* Clears the slots of interpreters that have ended meanwhile. */
void planting_drop_slots(struct planting *planting);

/* The first: the base of a blob that a killed pyperf-attach has left, the next one above `after`; 0:
 * there is none. The second reads that blob; false if it cannot be read, or another version has made
 * it. */
uint64_t planting_find_earlier(const struct target *target, uint64_t after);
bool planting_read(struct planting *planting);

/* Whether a pointer leads to the blob. */
bool planting_is_reachable(const struct planting *planting);

/* The first: whether a word of a stack, from the stack pointer `stack` upwards, is an address of
 * from <= address < to. The others: whether no thread that sleeps has such a word; whether no stopped
 * thread has one, on its stack or in its registers. */
bool planting_points_into(const struct planting *planting, uint64_t stack, uint64_t from,
                          uint64_t to);
bool planting_sleepers_are_clear(const struct planting *planting, uint64_t from, uint64_t to);
bool planting_stopped_are_clear(const struct planting *planting, const struct threads *stopped,
                                uint64_t from, uint64_t to);

/* Takes everything back: pointers and mapping. False: something had to be left. */
bool planting_remove(struct planting *planting, struct refusal *why);

/* Notes for how long threads were stopped. */
void planting_note_stop(struct planting *planting, uint64_t since, size_t threads, size_t asleep);

#endif
