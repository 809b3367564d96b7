/* qualnames.c - the rule of preload/cpython/names.c for qualified names, as a filter for
 * qualnames.py.
 *
 * One code object a line: the line number of the enclosing one (-1: none), co_flags, co_name.
 * Prints the name that libpyperf derives on 3.6 to 3.10, one a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "preload/cpython/names.h"

enum { LIMIT = 1 << 20 };

struct known {
    char *qualname;
    enum name_scope scope;
};

int main(void)
{
    static struct known known[LIMIT];
    static struct name name;
    char line[4096], own[4096];
    for (long n = 0, enclosing; n < LIMIT && fgets(line, sizeof line, stdin) != NULL; n++) {
        int flags;
        if (sscanf(line, "%ld %d %4095[^\n]", &enclosing, &flags, own) != 3 || enclosing >= n)
            return EXIT_FAILURE;
        name.length = 0;
        name.is_cut = false;
        if (enclosing >= 0)
            name_put_enclosing(&name, known[enclosing].qualname, strlen(known[enclosing].qualname),
                               known[enclosing].scope);
        for (const char *c = own; *c != '\0'; c++)
            name_put_bytes(&name, c, 1);
        known[n].scope = name_scope_of(flags, own);
        known[n].qualname = strndup(name.text, name.length);
        printf("%s\n", known[n].qualname);
    }
    return EXIT_SUCCESS;
}
