/* dwarf.h - the numbers of DWARF 4 that we write: call frame instructions (7.23), and the encodings
 * of pointers in .eh_frame (LSB core specification, 10.5.1). */
#ifndef PYPERF_DWARF_H
#define PYPERF_DWARF_H

enum {
    DW_CFA_nop = 0x00,
    DW_CFA_advance_loc4 = 0x04,
    DW_CFA_undefined = 0x07,
    DW_CFA_same_value = 0x08,
    DW_CFA_def_cfa = 0x0c,
    DW_CFA_def_cfa_offset = 0x0e,
    DW_CFA_advance_loc = 0x40, /* + distance, in units of ARCH_DWARF_CODE_ALIGNMENT */
    DW_CFA_offset = 0x80,      /* + register */

    DW_EH_PE_udata4 = 0x03,
    DW_EH_PE_sdata4 = 0x0b,
    DW_EH_PE_pcrel = 0x10,
    DW_EH_PE_datarel = 0x30,

    /* Offsets from the CFA are counted in units of -8: the stack grows downwards. */
    DWARF_DATA_ALIGNMENT = 8,
};

#endif
