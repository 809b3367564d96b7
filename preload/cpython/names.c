#include "preload/cpython/names.h"

#include <string.h>

static const char cut[] = "...";

void name_clear(struct name *name)
{
    name->length = 0;
    name->is_cut = false;
}

void name_put_bytes(struct name *name, const char *bytes, size_t length)
{
    if (name->is_cut)
        return;
    size_t room = sizeof name->text - (sizeof cut - 1) - name->length;
    if (length > room) {
        /* Not within a character: continuation bytes are 10xxxxxx. */
        while (room > 0 && ((unsigned char)bytes[room] & 0xc0) == 0x80)
            room--;
        memcpy(name->text + name->length, bytes, room);
        memcpy(name->text + name->length + room, cut, sizeof cut - 1);
        name->length += room + sizeof cut - 1;
        name->is_cut = true;
        return;
    }
    memcpy(name->text + name->length, bytes, length);
    name->length += length;
}

static bool needs_escape(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x2028 || c == 0x2029 ||
           (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff;
}

static size_t put_escape(char *out, uint32_t c)
{
    static const char digits[] = "0123456789abcdef";
    size_t count = c < 0x100 ? 2 : c < 0x10000 ? 4 : 8;
    size_t n = 0;
    out[n++] = '\\';
    if (c == '\n' || c == '\r' || c == '\t') {
        out[n++] = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
        return n;
    }
    out[n++] = count == 2 ? 'x' : count == 4 ? 'u' : 'U';
    while (count-- > 0)
        out[n++] = digits[c >> (4 * count) & 15];
    return n;
}

static size_t put_utf8(char *out, uint32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t following = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(lead[following] | c >> (6 * following));
    for (size_t i = 1; i <= following; i++)
        out[i] = (char)(0x80 | (c >> (6 * (following - i)) & 0x3f));
    return 1 + following;
}

void name_put_character(struct name *name, uint32_t character)
{
    char bytes[12];
    size_t length =
        needs_escape(character) ? put_escape(bytes, character) : put_utf8(bytes, character);
    name_put_bytes(name, bytes, length);
}

/* How many bytes, 1 to 4, the UTF-8 character has that `bytes` begins with; 0 when there is none
 * (RFC 3629, section 4: the shortest form, no surrogates, up to U+10FFFF). */
static size_t utf8_character(const unsigned char *bytes, size_t length, uint32_t *character)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    unsigned char lead = bytes[0];
    size_t following = lead < 0x80 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
    if ((lead >= 0x80 && lead < 0xc0) || lead >= 0xf8 || following >= length)
        return 0;
    uint32_t c = following == 0 ? lead : lead & (0x3fu >> following);
    for (size_t i = 1; i <= following; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (bytes[i] & 0x3f);
    }
    *character = c;
    return c < least[following] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : following + 1;
}

/* How many of the characters, all of them ASCII, stand before the first that needs an escape: below
 * 0x20, or 0x7f. Eight at a time, as Warren, Hacker's Delight, 6-1 finds a zero byte. */
static size_t printable(const char *text, size_t length)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x80 * ones;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, text + i, sizeof word);
        uint64_t is_delete = (word ^ 0x7f * ones) - ones, is_control = word - 0x20 * ones;
        if ((is_delete | is_control) & ~word & tops)
            break;
    }
    while (i < length && text[i] >= 0x20 && text[i] != 0x7f)
        i++;
    return i;
}

void name_put_ascii(struct name *name, const char *text, size_t length)
{
    size_t clean = printable(text, length);
    name_put_bytes(name, text, clean);
    for (size_t i = clean; i < length && !name->is_cut; i++)
        name_put_character(name, (unsigned char)text[i]);
}

void name_put_foreign_bytes(struct name *name, const char *bytes, size_t length)
{
    const unsigned char *at = (const unsigned char *)bytes, *end = at + length;
    while (at < end && !name->is_cut) {
        uint32_t character;
        size_t count = utf8_character(at, (size_t)(end - at), &character);
        if (count != 0) {
            name_put_character(name, character);
        } else {
            char escape[4];
            name_put_bytes(name, escape, put_escape(escape, *at));
            count = 1;
        }
        at += count;
    }
}

enum name_scope name_scope_of(int code_flags, const char *name)
{
    enum { OPTIMIZED = 0x1, NEWLOCALS = 0x2 };
    if ((code_flags & (OPTIMIZED | NEWLOCALS)) != (OPTIMIZED | NEWLOCALS))
        return name[0] == '<' ? NAME_SCOPE_MODULE : NAME_SCOPE_CLASS;
    bool is_comprehension = name[0] == '<' && strcmp(name, "<lambda>") != 0;
    return is_comprehension ? NAME_SCOPE_CLASS : NAME_SCOPE_FUNCTION;
}

void name_put_enclosing(struct name *name, const char *qualname, size_t length,
                        enum name_scope scope)
{
    static const char locals[] = ".<locals>.";
    if (scope == NAME_SCOPE_MODULE)
        return;
    name_put_bytes(name, qualname, length);
    if (scope == NAME_SCOPE_FUNCTION)
        name_put_bytes(name, locals, sizeof locals - 1);
    else
        name_put_bytes(name, ".", 1);
}
