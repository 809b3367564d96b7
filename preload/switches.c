#include "switches.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>

#include "python.h"

bool switches_value_is_on(const char *value)
{
    if (value == NULL || *value == '\0')
        return false;
    char *end;
    errno = 0;
    long number = strtol(value, &end, 10);
    return *end == '\0' && errno == 0 && number >= INT_MIN && number <= INT_MAX && number != 0;
}

bool switches_may_be_on(void)
{
    return switches_value_is_on(getenv("PYTHONPERFSUPPORT"));
}

bool switches_are_on(const struct python *python)
{
    return *python->Py_IgnoreEnvironmentFlag == 0 &&
           switches_value_is_on(getenv("PYTHONPERFSUPPORT"));
}
