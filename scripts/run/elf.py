"""Names of machine code: the symbols of ELF files, as they were mapped into a process.

An address leads to its mapping, from there to an offset in the file, by the program headers to the address that
the file has for it, and so to a symbol. Structures: elf(5).
"""

import bisect
import os
import struct

import roots

PT_LOAD, PT_NOTE = 1, 4
SHT_SYMTAB, SHT_DYNSYM = 2, 11
STT_FUNC, STT_GNU_IFUNC = 2, 10
STB_GLOBAL, STB_WEAK = 1, 2
NT_GNU_BUILD_ID = 3
HEADER = struct.Struct("<16sHHIQQQIHHHHHH")  # Elf64_Ehdr
PROGRAM = struct.Struct("<IIQQQQQQ")  # Elf64_Phdr
SECTION = struct.Struct("<IIQQQQIIQQ")  # Elf64_Shdr
SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym
NOTE = struct.Struct("<III")
ENDLESS = 1 << 64
NESTED = 4
LARGEST = 1 << 40
DEBUG_FILES = "/usr/lib/debug/.build-id/%s/%s.debug"
DELETED = " (deleted)"


class Damaged(Exception):
    """The file is not an ELF file of 64 bits, or it is incomplete."""


class File:
    """An ELF file: its build_id, its segments and its symbol table. file: open; closed if it is not
    one."""

    def __init__(self, file):
        self.file = file
        try:
            self.read_headers()
        except Exception:
            self.file.close()
            raise

    def read_headers(self):
        header = HEADER.unpack(self.read(0, HEADER.size))
        if header[0][:6] != b"\177ELF\2\1":
            raise Damaged
        self.segments, self.build_id = [], b""
        program, section = header[5:7]
        program_size, programs, section_size, sections = header[9:13]
        for kind, _, offset, address, _, size, _, _ in self.table(PROGRAM, program, program_size, programs):
            if kind == PT_LOAD:
                self.segments.append((offset, size, address))
            elif kind == PT_NOTE and not self.build_id:
                self.build_id = build_id(self.read(offset, size))
        self.sections = list(self.table(SECTION, section, section_size, sections))

    def read(self, offset, size):
        if offset >= LARGEST:
            raise Damaged
        self.file.seek(offset)
        data = self.file.read(min(size, 1 << 30))
        if len(data) < size:
            raise Damaged
        return data

    def table(self, kind, offset, size, count):
        if count and size < kind.size:
            raise Damaged
        data = self.read(offset, size * count)
        return (kind.unpack_from(data, at * size) for at in range(count))

    def address(self, offset):
        """The address of a byte of the file; None if no segment holds it."""
        for start, size, address in self.segments:
            if start <= offset < start + size:
                return offset - start + address
        return None

    def symbols(self, wanted):
        """The functions of the table of that kind (.symtab, .dynsym), and the names that they refer to."""
        for one in self.sections:
            if one[1] == wanted and one[6] < len(self.sections):
                names = self.sections[one[6]]
                return functions(self.read(one[4], one[5])), self.read(names[4], names[5])
        return [], b""


def build_id(notes):
    at = 0
    while at + NOTE.size <= len(notes):
        name_size, size, kind = NOTE.unpack_from(notes, at)
        name = at + NOTE.size
        content = name + (name_size + 3 & ~3)
        if kind == NT_GNU_BUILD_ID and notes[name : name + name_size] == b"GNU\0":
            return notes[content : content + size]
        at = content + (size + 3 & ~3)
    return b""


def functions(data):
    """(address, end, rank, place of its name), in the order of addresses."""
    found = []
    for at in range(0, len(data) - SYMBOL.size + 1, SYMBOL.size):
        name, info, _, section, address, size = SYMBOL.unpack_from(data, at)
        if info & 15 in (STT_FUNC, STT_GNU_IFUNC) and section and name:
            binding = info >> 4
            rank = (not size, binding == STB_WEAK, binding != STB_GLOBAL)
            found.append((address, address + size if size else ENDLESS, rank, name))
    found.sort()
    return found


class Symbols:
    """The names in one file. Symbols of a debug file are added where the file itself has none of its own."""

    def __init__(self, file, recorded):
        """recorded: the build id that the mapped file had, or nothing. Raises Damaged, IOError, OSError."""
        self.file = File(file)
        if recorded and self.file.build_id != recorded:
            raise Damaged
        self.found, self.names = self.file.symbols(SHT_SYMTAB)
        if not self.found:
            self.found, self.names = of_debug_file(self.file.build_id)
        if not self.found:
            self.found, self.names = self.file.symbols(SHT_DYNSYM)
        self.file.file.close()
        self.starts = [one[0] for one in self.found]

    def name(self, offset):
        """Of the function that has this byte of the file; None if there is none."""
        address = self.file.address(offset)
        if address is None:
            return None
        at = bisect.bisect_right(self.starts, address)
        # A function may have others within it, which end before it does.
        for start, end, _, _ in reversed(self.found[max(at - NESTED, 0) : at]):
            if address < end:
                return self.best_name(self.found[bisect.bisect_left(self.starts, start) : at])
        return None

    def best_name(self, same):
        """Of the names of one address that with the fewest underscores before it, as perf chooses; then by rank."""
        names = [(rank, self.name_at(place)) for start, _, rank, place in same if start == same[0][0]]
        return min(names, key=lambda one: (one[0][0], len(one[1]) - len(one[1].lstrip("_")), one[0]))[1]

    def name_at(self, place):
        return self.names[place : self.names.find(b"\0", place)].decode("utf-8", "replace")


def of_debug_file(number):
    text = "".join("%02x" % byte for byte in bytearray(number))
    path = DEBUG_FILES % (text[:2], text[2:])
    if not text or not os.path.exists(path):
        return [], b""
    try:
        file = File(open(path, "rb"))
    except (Damaged, IOError, OSError):
        return [], b""
    with file.file:
        return file.symbols(SHT_SYMTAB) if file.build_id == number else ([], b"")


class Cache:
    """The symbols of all files, each read when it is first needed."""

    def __init__(self, files=None):
        self.known, self.files = {}, files or roots.Roots()

    def name(self, path, recorded, offset):
        """None where the file is not here, or is another than the one that was mapped."""
        key = (path, recorded)
        if key not in self.known:
            self.known[key] = self.load(path, recorded)
        symbols = self.known[key]
        return symbols and symbols.name(offset)

    def load(self, path, recorded):
        if not path.startswith("/"):
            return None  # [vdso]
        for file in self.files.opened(path[: -len(DELETED)] if path.endswith(DELETED) else path):
            try:
                return Symbols(file, recorded)
            except (Damaged, IOError, OSError):
                file.close()
        return None
