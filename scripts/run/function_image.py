"""An ELF file for the names and lines of Python functions that were sampled. No process has ever mapped it: a perf.data
says that all have, and perf looks up the addresses in it.

    .text        2 bytes for each line that was sampled; a function's lines lie together; and for what threads wait for
    .symtab      py::<name>:<file> for each function; [waiting for the GIL] and so on
    .debug_line  file and line for each 2 bytes

A line's address is its second byte, so it is found by tools that subtract 1 from return addresses, and by others. It is
the same in the process, in the file (its place) and in the symbols: perf to 6.1 confuses them in callers (-s srcline).
Structures: elf(5); numbers of CPU and ABI: the psABIs.
"""

import hashlib
import os
import re
import struct

import elf
import line_table
import model
import python2

PAGE = 4096
ALIGNED = 16
LINE = b"\x66\x90"  # one instruction of two bytes that does nothing
FILL = b"\x90"
LEFT_OUT = "[frames left out]"
MARKS = [LEFT_OUT] + [model.STATE_NAMES[state] for state in sorted(model.STATE_NAMES)]
NAMELESS = u"[unknown]"
BUILD_ID = ".note.gnu.build-id"
ID_SIZE = 20  # SHA-1, as of ld
BREAKING = re.compile(u"[\x00-\x1f\x7f-\x9f\u2028\u2029]")

ET_DYN, CURRENT = 3, 1
MACHINE = {"x86_64": 62, "aarch64": 183}.get(os.uname()[4], 0)  # EM_X86_64, EM_AARCH64: this machine's
PF_X, PF_R, PT_GNU_STACK, PF_W = 1, 4, 0x6474E551, 2
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_NOTE = 1, 2, 3, 7
SHF_ALLOC, SHF_EXECINSTR = 2, 4


def largest(functions):
    """At most so many bytes of text."""
    return sum(ALIGNED + len(LINE) * len(lines) for lines in functions.values()) + ALIGNED * len(MARKS)


def text_of(text):
    """In one line, as libpyperf writes names (names.h)."""
    def escape(found):
        number = ord(found.group())
        return u"\\x%02x" % number if number < 256 else u"\\u%04x" % number

    return python2.bytes_of(BREAKING.sub(escape, u"%s" % text))


class Image:
    """functions: {(name, file, first line): lines}; start: a multiple of PAGE."""

    def __init__(self, functions, start=PAGE):
        self.start = start
        self.text, self.rows, self.symbols = bytearray(), [], []
        self.places = {}  # (function, line): an address
        self.marks = {}  # the same of what is no function
        for name in MARKS:
            address, symbol = self.start + len(self.text), name.encode("ascii")
            self.marks[name] = address + 1
            self.symbols.append((symbol, address, len(LINE)))
            self.rows.append((address, symbol, 0))
            self.text += LINE
        for function in sorted(functions, key=lambda one: (text_of(one[1]), one[2] or 0, text_of(one[0]))):
            self.add(function, sorted(functions[function]))
        self.end = self.start + len(self.text)

    def add(self, function, lines):
        name, file = text_of(function[0]), text_of(function[1] or NAMELESS)
        self.text += FILL * (-len(self.text) % ALIGNED)
        begin = self.start + len(self.text)
        for line in lines:
            address = self.start + len(self.text)
            self.places[function, line] = address + 1
            self.rows.append((address, file, line))
            self.text += LINE
        symbol = model.PYTHON.encode("ascii") + name + b":" + file
        self.symbols.append((symbol, begin, self.start + len(self.text) - begin))

    def content(self):
        """The file, and its build id."""
        file = self.file(b"\0" * ID_SIZE)
        number = hashlib.sha1(file).digest()
        return self.file(number), number

    def file(self, number):
        note = elf.NOTE.pack(4, len(number), elf.NT_GNU_BUILD_ID) + b"GNU\0" + number
        note_at = elf.HEADER.size + 3 * elf.PROGRAM.size
        out = Sections(note_at)
        out.add(BUILD_ID, SHT_NOTE, note, flags=SHF_ALLOC, aligned=4)
        out.data += b"\0" * (self.start - len(out.data))
        text = out.add(".text", SHT_PROGBITS, bytes(self.text), flags=SHF_ALLOC | SHF_EXECINSTR, aligned=PAGE)
        names, symbols = self.symbol_table(text)
        out.add(".symtab", SHT_SYMTAB, symbols, text + 2, len(self.symbols) + 1, aligned=8, entry=elf.SYMBOL.size)
        out.add(".strtab", SHT_STRTAB, names)
        for name, content in sorted(line_table.sections(self.rows, self.start, self.end).items()):
            out.add(name, SHT_PROGBITS, content)
        content, table = out.content()
        head = elf.HEADER.pack(
            b"\177ELF\2\1\1".ljust(16, b"\0"), ET_DYN, MACHINE, CURRENT, 0, elf.HEADER.size, table, 0,
            elf.HEADER.size, elf.PROGRAM.size, 3, elf.SECTION.size, len(out.headers), len(out.headers) - 1,
        )
        head += elf.PROGRAM.pack(elf.PT_LOAD, PF_R | PF_X, 0, 0, 0, self.end, self.end, PAGE)
        head += elf.PROGRAM.pack(elf.PT_NOTE, PF_R, note_at, note_at, note_at, len(note), len(note), 4)
        head += elf.PROGRAM.pack(PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16)
        return head + content[len(head) :]

    def symbol_table(self, section):
        """The strings, and the table. Its symbols are local: several may have the same name."""
        names, table = bytearray(b"\0"), [elf.SYMBOL.pack(0, 0, 0, 0, 0, 0)]
        for name, address, size in self.symbols:
            table.append(elf.SYMBOL.pack(len(names), elf.STT_FUNC, 0, section, address, size))
            names += name + b"\0"
        return bytes(names), b"".join(table)


class Sections:
    """Their contents, one behind the other from `at` on, and their headers. The address of one that is loaded is its
    place in the file."""

    def __init__(self, at):
        self.data = bytearray(at)
        self.names = bytearray(b"\0")
        self.headers = [elf.SECTION.pack(*[0] * 10)]

    def add(self, name, kind, content, link=0, info=0, flags=0, aligned=1, entry=0):
        """Its number."""
        self.data += b"\0" * (-len(self.data) % aligned)
        at = len(self.data)
        address = at if flags & SHF_ALLOC else 0
        fields = (len(self.names), kind, flags, address, at, len(content), link, info, aligned, entry)
        self.headers.append(elf.SECTION.pack(*fields))
        self.names += name.encode("ascii") + b"\0"
        self.data += content
        return len(self.headers) - 1

    def content(self):
        """The file without its head, and where the table of sections is."""
        self.names += b".shstrtab\0"
        fields = (len(self.names) - len(b".shstrtab\0"), SHT_STRTAB, 0, 0, len(self.data), len(self.names), 0, 0, 1, 0)
        self.headers.append(elf.SECTION.pack(*fields))
        self.data += self.names
        self.data += b"\0" * (-len(self.data) % 8)
        return bytes(self.data) + b"".join(self.headers), len(self.data)
