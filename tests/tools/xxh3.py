"""XXH3-64 and XXH3-128 with seed 0 and the default secret, in plain Python.

Slow (a few MB/s), and independent of the C library: the .vxc reader's hashes.
"""
import struct

SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671f"
    "cb79e64eccc0e578825ad07dccff7221b8084674f743248ee03590e6813a264c"
    "3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364"
    "eac5ac8334d3ebc3c581a0fffa1363eb170ddd51b7f0da49d316552629d4689e"
    "2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e")
M32 = (1 << 32) - 1
M64 = (1 << 64) - 1
P32_1, P32_2, P32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
P64_1, P64_2, P64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
P64_4, P64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
MIX = 0x9FB21C651E98DF25


def u32(data, at):
    return int.from_bytes(data[at:at + 4], "little")


def u64(data, at):
    return int.from_bytes(data[at:at + 8], "little")


def swap(value, size):
    return int.from_bytes(value.to_bytes(size, "little"), "big")


def rotate(value, by, bits):
    return (value << by | value >> (bits - by)) & ((1 << bits) - 1)


def fold(a, b):
    product = a * b
    return (product ^ product >> 64) & M64


def avalanche(h):
    h ^= h >> 37
    h = h * 0x165667919E3779F9 & M64
    return h ^ h >> 32


def avalanche64(h):
    h ^= h >> 33
    h = h * P64_2 & M64
    h ^= h >> 29
    h = h * P64_3 & M64
    return h ^ h >> 32


def mix16(data, at, secret):
    return fold(u64(data, at) ^ u64(SECRET, secret), u64(data, at + 8) ^ u64(SECRET, secret + 8))


def accumulate(data):
    """The eight lanes after all of more than 240 bytes."""
    size = len(data)
    lanes = [P32_3, P64_1, P64_2, P64_3, P64_4, P32_2, P64_5, P32_1]
    keys = [struct.unpack_from("<8Q", SECRET, 8 * n) for n in range(17)]
    unpack = struct.Struct("<8Q").unpack_from

    def stripe(at, key):
        values = unpack(data, at)
        for i in range(8):
            keyed = values[i] ^ key[i]
            lanes[i] += (keyed & M32) * (keyed >> 32) + values[i ^ 1]
        for i in range(8):
            lanes[i] &= M64

    count = (size - 1) // 64
    for n in range(count):
        stripe(64 * n, keys[n % 16])
        if n % 16 == 15:
            for i in range(8):
                lane = lanes[i]
                lanes[i] = ((lane ^ lane >> 47) ^ keys[16][i]) * P32_1 & M64
    stripe(size - 64, struct.unpack_from("<8Q", SECRET, 121))
    return lanes


def merge(lanes, secret, start):
    for i in range(4):
        start += fold(lanes[2 * i] ^ u64(SECRET, secret + 16 * i),
                      lanes[2 * i + 1] ^ u64(SECRET, secret + 16 * i + 8))
    return avalanche(start & M64)


def combine_1to3(data):
    size = len(data)
    return data[0] << 16 | data[size >> 1] << 24 | data[-1] | size << 8


def xxh3_64(data):
    size = len(data)
    if size == 0:
        return avalanche64(u64(SECRET, 56) ^ u64(SECRET, 64))
    if size <= 3:
        return avalanche64(combine_1to3(data) ^ u32(SECRET, 0) ^ u32(SECRET, 4))
    if size <= 8:
        h = (u32(data, size - 4) + (u32(data, 0) << 32)) ^ u64(SECRET, 8) ^ u64(SECRET, 16)
        h ^= rotate(h, 49, 64) ^ rotate(h, 24, 64)
        h = h * MIX & M64
        h ^= (h >> 35) + size
        h = h * MIX & M64
        return h ^ h >> 28
    if size <= 16:
        low = u64(data, 0) ^ u64(SECRET, 24) ^ u64(SECRET, 32)
        high = u64(data, size - 8) ^ u64(SECRET, 40) ^ u64(SECRET, 48)
        return avalanche((size + swap(low, 8) + high + fold(low, high)) & M64)
    if size <= 128:
        acc = size * P64_1
        for i in range((size - 1) // 32 + 1):
            acc += mix16(data, 16 * i, 32 * i) + mix16(data, size - 16 * (i + 1), 32 * i + 16)
        return avalanche(acc & M64)
    if size <= 240:
        acc = size * P64_1
        for i in range(8):
            acc += mix16(data, 16 * i, 16 * i)
        acc = avalanche(acc & M64)
        for i in range(8, size // 16):
            acc += mix16(data, 16 * i, 16 * (i - 8) + 3)
        return avalanche((acc + mix16(data, size - 16, 136 - 17)) & M64)
    return merge(accumulate(data), 11, size * P64_1)


def mix32(acc, data, at1, at2, secret):
    low = (acc[0] + mix16(data, at1, secret)) & M64
    low ^= (u64(data, at2) + u64(data, at2 + 8)) & M64
    high = (acc[1] + mix16(data, at2, secret + 16)) & M64
    high ^= (u64(data, at1) + u64(data, at1 + 8)) & M64
    return low, high


def finish_128(acc, size):
    low = (acc[0] + acc[1]) & M64
    high = (acc[0] * P64_1 + acc[1] * P64_4 + size * P64_2) & M64
    return avalanche(low), -avalanche(high) & M64


def xxh3_128(data):
    """(low, high)"""
    size = len(data)
    if size == 0:
        return (avalanche64(u64(SECRET, 64) ^ u64(SECRET, 72)),
                avalanche64(u64(SECRET, 80) ^ u64(SECRET, 88)))
    if size <= 3:
        low = combine_1to3(data)
        high = rotate(swap(low, 4), 13, 32)
        return (avalanche64(low ^ u32(SECRET, 0) ^ u32(SECRET, 4)),
                avalanche64(high ^ u32(SECRET, 8) ^ u32(SECRET, 12)))
    if size <= 8:
        keyed = (u32(data, 0) + (u32(data, size - 4) << 32)) ^ u64(SECRET, 16) ^ u64(SECRET, 24)
        product = keyed * (P64_1 + (size << 2))
        low, high = product & M64, product >> 64
        high = (high + (low << 1)) & M64
        low ^= high >> 3
        low = (low ^ low >> 35) * MIX & M64
        return low ^ low >> 28, avalanche(high)
    if size <= 16:
        low, high = u64(data, 0), u64(data, size - 8)
        product = (low ^ high ^ u64(SECRET, 32) ^ u64(SECRET, 40)) * P64_1
        m_low, m_high = (product & M64) + ((size - 1) << 54) & M64, product >> 64
        high ^= u64(SECRET, 48) ^ u64(SECRET, 56)
        m_high = (m_high + high + (high & M32) * (P32_2 - 1)) & M64
        m_low ^= swap(m_high, 8)
        product = m_low * P64_2
        return avalanche(product & M64), avalanche(((product >> 64) + m_high * P64_2) & M64)
    if size <= 128:
        acc = size * P64_1 & M64, 0
        for i in reversed(range((size - 1) // 32 + 1)):
            acc = mix32(acc, data, 16 * i, size - 16 * (i + 1), 32 * i)
        return finish_128(acc, size)
    if size <= 240:
        acc = size * P64_1 & M64, 0
        for i in range(4):
            acc = mix32(acc, data, 32 * i, 32 * i + 16, 32 * i)
        acc = avalanche(acc[0]), avalanche(acc[1])
        for i in range(4, size // 32):
            acc = mix32(acc, data, 32 * i, 32 * i + 16, 3 + 32 * (i - 4))
        acc = mix32(acc, data, size - 16, size - 32, 136 - 17 - 16)
        return finish_128(acc, size)
    lanes = accumulate(data)
    return merge(lanes, 11, size * P64_1), merge(lanes, 117, ~(size * P64_2) & M64)
