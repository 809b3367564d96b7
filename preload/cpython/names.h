/* names.h - the name of a function as perf shows it: py::<qualname>:<filename>.
 *
 * Independent of CPython's objects: characters are appended one at a time. */
#ifndef PYPERF_NAMES_H
#define PYPERF_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* Longer names are cut off and end in "...". The longest path is 4,096 bytes (PATH_MAX). */
    NAME_LIMIT = 16384,
};

struct name {
    size_t length; /* bytes in text, which is not NUL terminated */
    bool is_cut;   /* accepts no more */
    char text[NAME_LIMIT];
};

/* Makes the name empty. */
void name_clear(struct name *name);

/* Appends a character as UTF-8. A character that would break a line or cannot be encoded is written
 * as an escape, in the form of Python's backslashreplace: control characters (C0, DEL, C1), U+2028
 * and U+2029, which Python's splitlines takes for line ends, and surrogates. */
void name_put_character(struct name *name, uint32_t character);

/* Appends bytes of another name. */
void name_put_bytes(struct name *name, const char *bytes, size_t length);

/* Appends ASCII characters, with an escape for each that would break a line. */
void name_put_ascii(struct name *name, const char *text, size_t length);

/* Appends bytes of any kind, taken for UTF-8 (2.7 has no other strings in its code objects). One
 * that is no part of a character is written as an escape. */
void name_put_foreign_bytes(struct name *name, const char *bytes, size_t length);

/* The kind of scope that a code object is for those that it encloses. */
enum name_scope {
    NAME_SCOPE_MODULE,   /* also what exec and eval compile: adds nothing */
    NAME_SCOPE_CLASS,    /* Class.method, <listcomp>.<lambda> */
    NAME_SCOPE_FUNCTION, /* outer.<locals>.inner */
};

/* The scope of a code object: its co_flags and its name, which is "" if it is not ASCII. Functions,
 * lambdas and comprehensions have flags that module and class bodies have not (Include/code.h),
 * only "<module>" is no name for a class, and functions in a comprehension get no <locals>
 * (compiler_set_qualname again). */
enum name_scope name_scope_of(int code_flags, const char *name);

/* Appends the qualified name of the enclosing code object and what joins it to the enclosed one's
 * name, which is appended next: the rule of PEP 3155 and CPython's Python/compile.c,
 * compiler_set_qualname, except that a name which the enclosing function declares `global` is not
 * recognised. */
void name_put_enclosing(struct name *name, const char *qualname, size_t length,
                        enum name_scope scope);

#endif
