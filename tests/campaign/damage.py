"""What happens to files: cut short, bits flipped, blocks lost or replaced, another file under the name, sizes that are claimed."""
import random
import struct


def truncated(data: bytes, rng: random.Random) -> bytes:
    """The beginning of a file."""
    return data[:rng.randrange(len(data))]


def bit_flipped(data: bytes, rng: random.Random) -> bytes:
    """One bit is another."""
    out = bytearray(data)
    out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def bytes_flipped(data: bytes, rng: random.Random) -> bytes:
    """One to twenty bytes are others."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 20)):
        out[rng.randrange(len(out))] = rng.randrange(256)
    return bytes(out)


def header_flipped(data: bytes, rng: random.Random) -> bytes:
    """Bytes of the first 256 are others: where formats say how large they are."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        out[rng.randrange(min(256, len(out)))] = rng.randrange(256)
    return bytes(out)


def block_zeroed(data: bytes, rng: random.Random) -> bytes:
    """A block of a disk was never written."""
    size = min(rng.choice((64, 512, 4096)), max(len(data) // 2, 1))
    start = rng.randrange(len(data)) // size * size
    return data[:start] + bytes(len(data[start:start + size])) + data[start + size:]


def block_replaced(data: bytes, rng: random.Random) -> bytes:
    """A block is from somewhere else."""
    size = min(rng.choice((64, 512)), max(len(data) // 2, 1))
    start = rng.randrange(len(data)) // size * size
    return data[:start] + rng.randbytes(len(data[start:start + size])) + data[start + size:]


def claim(data: bytes, rng: random.Random) -> bytes:
    """Four bytes near the start say 2^31 - 1 or 2^32 - 1."""
    start = rng.randrange(min(256, max(len(data) - 4, 1)))
    return data[:start] + struct.pack(rng.choice('<>') + 'I', rng.choice((2**31 - 1, 2**32 - 1))) + data[start + 4:]


def other_kind(data: bytes, rng: random.Random) -> bytes:
    """A page that a server sent instead of the file, an empty file, another format, text that is not UTF-8."""
    return rng.choice((
        b'<html><body>404 Not Found</body></html>\n', b'', b'\0' * 1000, b'PK\x03\x04' + rng.randbytes(200), b'\x89PNG\r\n\x1a\n',
        b'{"a": 1}', b'\xff\xfe\xfa not UTF-8 \xc3\x28', b'[' * 100000, rng.randbytes(1000)))


def doubled(data: bytes, rng: random.Random) -> bytes:
    """The file is appended to itself, as a download that went on wrongly."""
    return data + data[:rng.randrange(1, len(data) + 1)]


DAMAGES = dict(truncated=truncated, bit_flipped=bit_flipped, bytes_flipped=bytes_flipped, header_flipped=header_flipped,
               block_zeroed=block_zeroed, block_replaced=block_replaced, claim=claim, other_kind=other_kind, doubled=doubled)
