/* made_frames.h - frames of Python calls as the rows of layout.c say, made by hand. */
#ifndef PYPERF_TEST_MADE_FRAMES_H
#define PYPERF_TEST_MADE_FRAMES_H

#include "tests/unit/interpreter/interpreter.h"

enum { FRAME = 128, OWNED_BY_THREAD = 0, OWNED_BY_C = 3 }; /* pycore_frame.h, enum _frameowner */

static inline const struct layout *row(void)
{
    return &interpreter.row;
}

static inline void put(void *object, size_t offset, const void *pointer)
{
    memcpy((char *)object + offset, &pointer, sizeof pointer);
}

/* Of FRAME bytes. */
static inline void make_frame(void *frame, python_object *code, uint32_t instruction,
                              const void *back)
{
    memset(frame, 0x5a, FRAME);
    put(frame, row()->frame_code, (char *)code + (row()->tagged_frames ? 1 : 0));
    put(frame, row()->frame_back, back);
    if (row()->code_adaptive != 0)
        put(frame, row()->frame_instruction, (char *)code + row()->code_adaptive + instruction);
    else
        memcpy((char *)frame + row()->frame_instruction, &instruction, sizeof instruction);
    if (row()->frame_owner != 0)
        ((char *)frame)[row()->frame_owner] = OWNED_BY_THREAD;
    if (row()->frame_is_entry != 0)
        ((char *)frame)[row()->frame_is_entry] = 0;
}

/* A frame of the C stack, from 3.12 on. */
static inline void make_c_frame(void *frame, const void *back)
{
    memset(frame, 0x5a, FRAME);
    put(frame, row()->frame_back, back);
    ((char *)frame)[row()->frame_owner] = OWNED_BY_C;
}

static inline void make_cframe(char *cframe, const void *frame, const void *previous)
{
    put(cframe, row()->cframe_frame, frame);
    put(cframe, row()->cframe_previous, previous);
}

#endif
