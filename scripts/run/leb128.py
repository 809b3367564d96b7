"""Numbers in as few bytes as they need, as DWARF (DWARF 3, section 7.6) and protobuf (its varints) have them."""


def unsigned(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def signed(number):
    out = bytearray()
    while not -64 <= number < 64:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number & 127)
    return bytes(out)


def read_unsigned(data, at):
    """(number, place behind it); data: a bytearray. It ends with the data."""
    value = shift = 0
    while at < len(data):
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            break
    return value, at


def read_signed(data, at):
    value, end = read_unsigned(data, at)
    bits = 7 * (end - at)
    return value - (1 << bits) if bits and value >> (bits - 1) else value, end
