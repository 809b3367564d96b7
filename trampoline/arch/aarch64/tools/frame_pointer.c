#include "preload/tools/frame_pointer.h"

#include "linked_frame.h"

bool frame_pointer_open(void)
{
    return true;
}

void frame_pointer_close(void)
{
}

bool frame_pointer_is_made(const uint8_t *bytes, size_t size)
{
    return linked_frame_is_made(bytes, size);
}
