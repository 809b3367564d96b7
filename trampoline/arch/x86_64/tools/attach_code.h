/* attach_code.h - what short functions of another process say about the places of variables, and
 * instructions that a stopped thread can be led to. Each decoder knows the forms that compilers make
 * of one C function, and answers no to any other. Encodings: SDM vol. 2. */
#ifndef PYPERF_ATTACH_CODE_H
#define PYPERF_ATTACH_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a function that its decoder looks at, at most. */
enum { ATTACH_CODE_BYTES = 256 };

/* `return argument->field;`, or a test of it first: the field's offset. */
bool attach_code_field(const uint8_t *code, size_t size, int32_t *offset);

/* `return argument->field(...)` or the like, somewhere in a function: the offset in the only indirect
 * call or jump through a pointer's field. */
bool attach_code_call_of_field(const uint8_t *code, size_t size, int32_t *offset);

/* Whether four bytes of the code are this offset, so that the function may use it. */
bool attach_code_mentions(const uint8_t *code, size_t size, int32_t offset);

/* `return variable;` or `return structure.field;`: the variable's address, or, if `*indirect`, the
 * address of a pointer to which `*offset` is to be added. `address` is the code's. */
bool attach_code_variable(const uint8_t *code, size_t size, uint64_t address, uint64_t *variable,
                          bool *indirect, int32_t *offset);

/* The addresses that instructions load as constants, as far as they can be told without decoding:
 * some are not addresses. Returns how many, at most `room`. */
size_t attach_code_constants(const uint8_t *code, size_t size, uint64_t address,
                             uint64_t *constants, size_t room);

/* Where `syscall; ret` is, and where rt_sigreturn is called: the function to which signal handlers
 * return. SIZE_MAX: not there. */
size_t attach_code_system_call(const uint8_t *code, size_t size);
size_t attach_code_signal_return(const uint8_t *code, size_t size);

/* Whether an indirect call or jump reads its target from a field at this offset, within the code: a
 * thread in front of it has perhaps looked at the field before. */
bool attach_code_calls_field_at(const uint8_t *code, size_t size, int32_t offset);

#endif
