/* fixture.h - assembler macros for functions with awkward beginnings, each named for what is
 * awkward about it. The test finds them by name: the linker gathers the section and defines
 * __start_prologues and __stop_prologues. */

.macro fixture name.text.balign 16
\name :.endm

            .macro end name
\name\() _end :.section.rodata.str,
    "aMS", @progbits, 1
\name\() _name :.asciz "\name".section prologues,
    "aw".balign 8.quad \name\() _name, \name, \name\() _end.text
                                                  .endm

                                                  /* What matters, and enough behind it. */
                                                  .macro single name,
    instructions fixture \name
    \instructions.skip 8,
    0x90 end \name
            .endm

            .section.note.GNU
        - stack,
    "", @progbits
