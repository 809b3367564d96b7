#include "preload/attach/refusal.h"

#include <stdarg.h>
#include <stdio.h>

bool refuse(struct refusal *why, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why->line, sizeof why->line, format, arguments);
    va_end(arguments);
    return false;
}
