/* test_eh_frame_objects.c - the rules of all functions of libc, libcrypto and this program are
 * those that readelf prints. How many bytes of code have none is printed. */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frame_names.h"
#include "support/support.h"
#include "trampoline/unwind/eh_frame.h"

struct object {
    const char *name; /* part of its path; NULL: this program */
    char path[300];
    uintptr_t bias, header, end;
};

static int find_object(struct dl_phdr_info *info, size_t size, void *data)
{
    struct object *object = data;
    (void)size;
    bool is_program = *info->dlpi_name == '\0';
    if (object->name == NULL ? !is_program : strstr(info->dlpi_name, object->name) == NULL)
        return 0;
    snprintf(object->path, sizeof object->path, "%s",
             is_program ? "/proc/self/exe" : info->dlpi_name);
    if (is_program)
        ck_assert_ptr_nonnull(realpath("/proc/self/exe", object->path));
    object->bias = info->dlpi_addr;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t end = info->dlpi_addr + segment->p_vaddr + segment->p_memsz;
        if (segment->p_type == PT_GNU_EH_FRAME)
            object->header = info->dlpi_addr + segment->p_vaddr;
        if (segment->p_type == PT_LOAD && end > object->end)
            object->end = end;
    }
    return 1;
}

/* A table that readelf prints, up to the present row. */
struct table {
    const struct object *object;
    uintptr_t begin, end; /* of the function */
    bool is_signal;
    int frame, base,
        address;   /* columns of the frame pointer, the base pointer, ra; -1: there is none */
    uintptr_t row; /* 0: there was none yet */
    char cells[24][24];
    uint64_t bytes, without; /* of code, and how many of them have no rule */
    uint64_t rows, wrong;
    char first[300]; /* that is wrong */
};

static struct {
    unsigned long offset;
    bool is_signal;
    char cfa[24], address[24];
} cies[256];
static size_t cie_count, last_cie;

static bool agrees_frame(const char *cell, uint64_t frame)
{
    int value;
    if (cell == NULL || strcmp(cell, "u") == 0 || strcmp(cell, "s") == 0)
        return rule_kind(frame) == RULE_SAME;
    if (sscanf(cell, "c%d", &value) == 1)
        return frame == rule_word(RULE_AT_CFA, value);
    if (strcmp(cell, "exp") == 0)
        return rule_kind(frame) == RULE_EXPRESSION;
    return strcmp(cell, "vexp") == 0 && rule_kind(frame) == RULE_VALUE;
}

static bool agrees_base(const char *cell, uint64_t base)
{
    int value;
    if (cell == NULL || strcmp(cell, "u") == 0 || strcmp(cell, "s") == 0)
        return rule_kind(base) == RULE_SAME;
    if (sscanf(cell, "c%d", &value) == 1)
        return base == rule_word(RULE_AT_CFA, value);
    return rule_kind(base) == RULE_NONE;
}

static bool agrees_cfa(const char *cell, uint64_t cfa)
{
    int value;
    if (sscanf(cell, FRAME_STACK "+%d", &value) == 1)
        return cfa == rule_word(RULE_STACK, value);
    if (sscanf(cell, FRAME_POINTER "+%d", &value) == 1)
        return cfa == rule_word(RULE_FRAME, value);
    if (strcmp(cell, "exp") == 0)
        return rule_kind(cfa) == RULE_EXPRESSION;
    return rule_kind(cfa) == RULE_REGISTER;
}

static void check_at(struct table *table, uintptr_t address)
{
    struct eh_frame_function function;
    const struct object *object = table->object;
    struct unwind_rule rule = {rule_word(RULE_NONE, 0), rule_word(RULE_SAME, 0), 0};
    if (eh_frame_find(object->header, object->end, object->bias + address, &function))
        rule = eh_frame_rule(&function, object->end, object->bias + address);
    const char *address_cell = table->address < 0 ? FRAME_AT_ENTRY : table->cells[table->address];
    bool agrees;
    if (table->is_signal)
        agrees = rule_kind(rule.cfa) == RULE_SIGNAL;
    else if (strcmp(address_cell, "u") == 0 &&
             (!FRAME_IN_REGISTER || rule_kind(rule.cfa) == RULE_END))
        agrees = rule_kind(rule.cfa) == RULE_END;
    else if (FRAME_IN_REGISTER ? *address_cell == 'r' /* another one */
                               : strcmp(address_cell, FRAME_AT_ENTRY) != 0)
        agrees = rule_kind(rule.cfa) == RULE_NONE;
    else
        agrees = agrees_cfa(table->cells[0], rule.cfa) &&
                 agrees_frame(table->frame < 0 ? NULL : table->cells[table->frame], rule.frame) &&
                 agrees_base(table->base < 0 ? NULL : table->cells[table->base], rule.base);
    if (!agrees && table->wrong++ == 0)
        snprintf(table->first, sizeof table->first, "%#lx: %s, ra %s; found %d %ld, %d %ld",
                 address, table->cells[0], address_cell, rule_kind(rule.cfa), rule_value(rule.cfa),
                 rule_kind(rule.frame), rule_value(rule.frame));
    table->rows += agrees;
    if (rule_kind(rule.cfa) == RULE_NONE)
        table->without += table->end - table->row; /* the row ends there */
}

/* The present row ends here. */
static void end_row(struct table *table, uintptr_t next)
{
    uintptr_t end = table->end;
    if (table->row == 0 || next <= table->row)
        return;
    table->end = next;
    table->bytes += next - table->row;
    check_at(table, table->row);
    uint64_t without = table->without;
    check_at(table, next - 1);
    table->without = without; /* counted once */
    table->end = end;
}

/* Splits a line into its cells; returns their number. "r10 (r10)" is one. */
static int split(char *line, char cells[24][24])
{
    int count = 0;
    for (char *name = line; (name = strstr(name, " (")) != NULL;)
        memmove(name, name + 1, strlen(name));
    for (char *cell = strtok(line, " \n"); cell != NULL && count < 24; cell = strtok(NULL, " \n"))
        snprintf(cells[count++], 24, "%s", cell);
    return count;
}

static void read_cie(struct table *table, const char *line)
{
    ck_assert_uint_lt(cie_count, LENGTH_OF(cies));
    last_cie = cie_count++;
    cies[last_cie].offset = strtoul(line, NULL, 16);
    cies[last_cie].is_signal = strstr(line, "S\" cf=") != NULL;
    table->row = 0;
    table->begin = table->end = 0;
}

static void read_fde(struct table *table, const char *line)
{
    unsigned long cie = strtoul(strstr(line, "cie=") + 4, NULL, 16);
    for (last_cie = 0; last_cie < cie_count && cies[last_cie].offset != cie; last_cie++)
        continue;
    ck_assert_uint_lt(last_cie, cie_count);
    ck_assert_int_eq(sscanf(strstr(line, "pc="), "pc=%lx..%lx", &table->begin, &table->end), 2);
    table->is_signal = cies[last_cie].is_signal;
    table->frame = table->base = -1;
    table->row = table->begin; /* until a row comes: that of the CIE */
    table->address = 1;
    memcpy(table->cells[0], cies[last_cie].cfa, sizeof table->cells[0]);
    memcpy(table->cells[1], cies[last_cie].address, sizeof table->cells[1]);
}

static void read_columns(struct table *table, char *line)
{
    char cells[24][24];
    int count = split(line, cells);
    table->frame = table->base = table->address = -1;
    for (int i = 1; i < count; i++) {
        if (strcmp(cells[i], FRAME_POINTER) == 0)
            table->frame = i - 1;
        if (strcmp(cells[i], FRAME_BASE) == 0)
            table->base = i - 1;
        if (strcmp(cells[i], "ra") == 0)
            table->address = i - 1;
    }
}

static void read_row(struct table *table, char *line)
{
    uintptr_t address = strtoul(line, NULL, 16);
    if (table->end == 0) { /* of a CIE */
        strcpy(table->cells[1], FRAME_AT_ENTRY);
        ck_assert_int_eq(split(line + 17, table->cells), FRAME_IN_REGISTER ? 1 : 2);
        memcpy(cies[last_cie].cfa, table->cells[0], sizeof cies[0].cfa);
        memcpy(cies[last_cie].address, table->cells[1], sizeof cies[0].address);
        return;
    }
    end_row(table, address);
    table->row = address;
    split(line + 17, table->cells);
}

static void compare(const struct object *object)
{
    char command[400], line[600];
    struct table table = {.object = object};
    snprintf(command, sizeof command, "LC_ALL=C readelf -W --debug-dump=frames-interp '%s' 2>&1",
             object->path);
    FILE *output = popen(command, "re");
    ck_assert_ptr_nonnull(output);
    cie_count = 0;
    while (fgets(line, sizeof line, output) != NULL) {
        if (strstr(line, "Contents of the .debug_frame") != NULL)
            break;
        bool is_entry = strstr(line, " CIE \"") != NULL || strstr(line, " FDE cie=") != NULL;
        if (is_entry)
            end_row(&table, table.end);
        if (strstr(line, " CIE \"") != NULL)
            read_cie(&table, line);
        else if (is_entry)
            read_fde(&table, line);
        else if (strncmp(line, "   LOC", 6) == 0)
            read_columns(&table, line);
        else if (strspn(line, "0123456789abcdef") == 16 && line[16] == ' ')
            read_row(&table, line);
    }
    end_row(&table, table.end);
    pclose(output);
    printf("%s: %lu bytes of code with unwind data, %lu without a rule\n", object->path,
           table.bytes, table.without);
    ck_assert_msg(table.wrong == 0, "%lu of %lu: %s", table.wrong, table.rows + table.wrong,
                  table.first);
    ck_assert_uint_gt(table.rows, 1000);
    ck_assert_uint_le(table.without * 1000, table.bytes);
}

static const char *const names[] = {NULL, "/libc.so", "/libcrypto.so"};

TEST_FOR_EACH(as_readelf_prints, LENGTH_OF(names))
{
    struct object object = {.name = names[_i]};
    if (skip_under_valgrind())
        return;
    if (_i == 2)
        keep(dlopen("libcrypto.so.3", RTLD_NOW));
    if (dl_iterate_phdr(find_object, &object) == 0) {
        ck_assert_int_eq(_i, 2);
        skip("libcrypto", "it is not installed");
        return;
    }
    ck_assert(object.header != 0);
    compare(&object);
}
