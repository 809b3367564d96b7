"""Sections of DWARF that lead from an address to a file and its line, as binutils, elfutils and perf of any age read
them: line table version 2 (DWARF 2, section 6.2), compile unit version 3 (DWARF 3, section 7.5.1)."""

import struct

from leb128 import signed, unsigned

LINE_VERSION, UNIT_VERSION, RANGES_VERSION = 2, 3, 2
ADDRESS_SIZE = 8
# A line table's header: one byte an instruction, each row begins a statement, and no special opcodes are used.
INSTRUCTION_LENGTH, IS_STATEMENT, LINE_BASE, LINE_RANGE = 1, 1, -5, 14
OPERANDS = (0, 1, 1, 1, 1, 0, 0, 0, 1)  # of the standard opcodes 1 to 9 (DWARF 2, section 6.2.4)
COPY, ADVANCE_PC, ADVANCE_LINE, SET_FILE = 1, 2, 3, 4  # DW_LNS_
EXTENDED, END_SEQUENCE, SET_ADDRESS = 0, 1, 2  # DW_LNE_
# DW_TAG_, DW_AT_, DW_FORM_
COMPILE_UNIT, NO_CHILDREN = 0x11, 0
NAME, STATEMENTS, LOW, HIGH, LANGUAGE, PRODUCER = 0x03, 0x10, 0x11, 0x12, 0x13, 0x25
ADDRESS, DATA2, DATA4, STRING = 0x01, 0x05, 0x06, 0x08
LANGUAGE_PYTHON = 0x14  # DWARF 3, table 7.17
ATTRIBUTES = (
    (PRODUCER, STRING),
    (LANGUAGE, DATA2),
    (NAME, STRING),
    (STATEMENTS, DATA4),
    (LOW, ADDRESS),
    (HIGH, ADDRESS),
)


def unit(content):
    """With its length in front."""
    return struct.pack("<I", len(content)) + content


def sections(rows, start, end):
    """{name: bytes}. rows: (address, file, line), in the order of addresses, which are from start to end; a file is
    bytes."""
    return {
        ".debug_line": line_section(rows, start, end),
        ".debug_abbrev": abbreviations(),
        ".debug_info": info_section(start, end),
        ".debug_aranges": ranges_section(start, end),
    }


def line_section(rows, start, end):
    files = {}
    program = extended(SET_ADDRESS, struct.pack("<Q", start))
    at, line, current = start, 1, 1
    for address, file, wanted in rows:
        number = files.setdefault(file, len(files) + 1)
        if number != current:
            program += bytearray([SET_FILE]) + unsigned(number)
        program += bytearray([ADVANCE_LINE]) + signed(wanted - line)
        program += bytearray([ADVANCE_PC]) + unsigned(address - at) + bytearray([COPY])
        at, line, current = address, wanted, number
    program += bytearray([ADVANCE_PC]) + unsigned(end - at) + extended(END_SEQUENCE, b"")
    header = struct.pack(
        "<BBbBB", INSTRUCTION_LENGTH, IS_STATEMENT, LINE_BASE, LINE_RANGE, len(OPERANDS) + 1
    ) + bytes(bytearray(OPERANDS))
    header += b"\0"  # no folders
    # Each file without folder, time and size.
    header += b"".join(file + b"\0" + b"\0\0\0" for file in sorted(files, key=files.get)) + b"\0"
    return unit(struct.pack("<HI", LINE_VERSION, len(header)) + header + bytes(program))


def extended(opcode, operand):
    return bytearray([EXTENDED]) + unsigned(len(operand) + 1) + bytearray([opcode]) + operand


def abbreviations():
    pairs = b"".join(unsigned(name) + unsigned(form) for name, form in ATTRIBUTES)
    return b"\1" + unsigned(COMPILE_UNIT) + bytes(bytearray([NO_CHILDREN])) + pairs + b"\0\0" + b"\0"


def info_section(start, end):
    content = struct.pack("<HIB", UNIT_VERSION, 0, ADDRESS_SIZE)
    content += b"\1" + b"pyperf-run\0" + struct.pack("<H", LANGUAGE_PYTHON) + b"Python functions\0"
    return unit(content + struct.pack("<IQQ", 0, start, end))


def ranges_section(start, end):
    """DWARF 3, section 6.1.2. Pairs are at multiples of their size."""
    content = struct.pack("<HIBB", RANGES_VERSION, 0, ADDRESS_SIZE, 0) + b"\0" * 4
    return unit(content + struct.pack("<4Q", start, end - start, 0, 0))
