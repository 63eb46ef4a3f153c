#!/usr/bin/env python3
"""Second reader of the .vxc format, written from docs/format.md alone.

    vxc_reader.py FILE             summary as one JSON object
    vxc_reader.py --dump FILE      everything, one item a line (below)
    vxc_reader.py --check FILE...  "ok" or "bad: WHY" for each file, everything read

--fast leaves out the hashes of more than 1 MiB, which plain Python is slow at.
--bias N relocates the dumped code.

Dump lines: meta, chunk, entry, page, row, reloc, code, guest with their fields in
decimal, in that order; code and guest bytes in hex.

Exit: 0 good, 1 the file is bad, 2 usage.
"""
import argparse
import json
import struct
import sys
import zlib

from xxh3 import xxh3_128, xxh3_64

MAGIC = bytes.fromhex("895658430d0a1a0a")
NAMES = ["meta", "index", "entries", "pages", "code", "rows", "relocs", "guest"]
META = ["guest_hash_low", "guest_hash_high", "guest_size", "translator_hash", "contract", "options",
        "cpu_features", "relocatable", "guest_code_bytes", "guest_insns", "chunk_count",
        "entry_count", "page_count"]
PAGE = 4096
BLOCK = 131072
ZONE_LIMIT = 1 << 30
CHUNK_LIMIT = 1 << 20
FAST_LIMIT = 1 << 20


class Bad(Exception):
    """The file breaks a rule of the format."""


def require(condition, why):
    if not condition:
        raise Bad(why)


def signed(value):
    return value - (1 << 32) if value >= 1 << 31 else value


class Columns:
    """Reads varints and fixed fields from plain bytes, which must be used up."""

    def __init__(self, data, what):
        self.data, self.at, self.what = data, 0, what

    def varint(self):
        value = 0
        for i in range(5):
            require(self.at < len(self.data), f"{self.what}: varint cut short")
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                require(i == 0 or byte != 0, f"{self.what}: varint not in shortest form")
                require(i < 4 or byte <= 15, f"{self.what}: varint too large")
                return value
        raise Bad(f"{self.what}: varint too long")

    def svarint(self):
        value = self.varint()
        return -(value + 1) // 2 if value & 1 else value // 2

    def u64(self):
        require(self.at + 8 <= len(self.data), f"{self.what}: cut short")
        self.at += 8
        return struct.unpack_from("<Q", self.data, self.at - 8)[0]

    def end(self):
        require(self.at == len(self.data), f"{self.what}: bytes left over")


def check_sizes(stored, plain, what):
    require(stored <= plain <= 1032 * stored, f"{what}: impossible stream sizes")


def inflate(data, plain, what):
    """The plain bytes of a stream whose stored bytes are data."""
    if len(data) == plain:
        return data
    check_sizes(len(data), plain, what)
    z = zlib.decompressobj(wbits=-15)
    try:
        out = z.decompress(data, plain + 1)
    except zlib.error as error:
        raise Bad(f"{what}: {error}") from error
    require(z.eof and not z.unused_data and len(out) == plain, f"{what}: inflates to another size")
    return out


class Cache:
    def __init__(self, data, fast=False):
        self.data, self.fast = data, fast
        self.read_header()
        self.read_table()
        self.read_meta()
        self.read_index()
        self.read_entries()
        self.read_pages()
        self.guest_blocks = self.blocks("guest") if "guest" in self.sections else None

    def hashed(self, data):
        return not self.fast or len(data) <= FAST_LIMIT

    def read_header(self):
        data = self.data
        require(data[:8] == MAGIC, "magic")
        require(len(data) >= 48, "header cut short")
        version, reserved, size, low, high, count, reserved2 = struct.unpack_from("<IIQQQII", data, 8)
        require(version == 1, "version")
        require(reserved == 0 and reserved2 == 0, "reserved field of the header")
        require(size == len(data), "file size")
        if self.hashed(data):
            require(xxh3_128(data[40:]) == (low, high), "file hash")
        require(count in (7, 8), "section count")
        self.section_count = count

    def read_table(self):
        self.sections = {}
        end = 48 + 40 * self.section_count
        require(end <= len(self.data), "section table cut short")
        for i, name in enumerate(NAMES[:self.section_count]):
            fields = struct.unpack_from("<IIQQQQ", self.data, 48 + 40 * i)
            kind, reserved, offset, stored, plain, digest = fields
            require(kind == i + 1, f"kind of section {name}")
            require(reserved == 0, f"reserved field of section {name}")
            require(offset == end and stored <= len(self.data) - end, f"place of section {name}")
            end += stored
            content = self.data[offset:end]
            if self.hashed(content):
                require(xxh3_64(content) == digest, f"hash of section {name}")
            self.sections[name] = content, plain
        require(end == len(self.data), "bytes after the last section")

    def blocks(self, name):
        """(stored bytes, plain size) of each block of a blocked section."""
        content, plain = self.sections[name]
        count = (plain + BLOCK - 1) // BLOCK
        require(4 * count <= len(content), f"block table of {name}")
        stored = struct.unpack_from(f"<{count}I", content)
        require(4 * count + sum(stored) == len(content), f"blocks of {name} do not fill it")
        at, out = 4 * count, []
        for i, size in enumerate(stored):
            block_plain = min(BLOCK, plain - i * BLOCK)
            check_sizes(size, block_plain, f"block {i} of {name}")
            out.append((content[at:at + size], block_plain))
            at += size
        return out

    def blocked(self, name, limit):
        require(self.sections[name][1] <= limit, f"section {name} too large")
        return b"".join(inflate(data, plain, name) for data, plain in self.blocks(name))

    def read_meta(self):
        data = self.blocked("meta", 72)
        require(len(data) == 72, "size of meta")
        fields = struct.unpack("<4Q10I", data)
        self.meta = meta = dict(zip(META, fields))
        require(fields[-1] == 0, "reserved field of meta")
        require(meta["relocatable"] <= 1, "relocatable")
        require(meta["guest_size"] <= 1 << 30, "guest size")
        require(meta["chunk_count"] <= 262144 and meta["entry_count"] <= 1 << 24 and
                meta["page_count"] <= 1 << 20, "a count exceeds its limit")
        if "guest" in self.sections:
            require(self.sections["guest"][1] == meta["guest_size"], "size of section guest")

    def read_index(self):
        data = self.blocked("index", 262144 * 64)
        require(len(data) == 64 * self.meta["chunk_count"], "size of index")
        self.chunks, free_from = [], 0
        at, plain = {"code": 0, "rows": 0, "relocs": 0}, {"code": 0, "rows": 0, "relocs": 0}
        for i in range(self.meta["chunk_count"]):
            (host, size, code_stored, row_count, rows_plain, rows_stored, reloc_count, relocs_plain,
             relocs_stored, reserved, *digests) = struct.unpack_from("<10I3Q", data, 64 * i)
            what = f"chunk {i}"
            require(reserved == 0, f"reserved field of {what}")
            require(host % PAGE == 0 and host >= free_from, f"{what} misplaced")
            require(1 <= size <= CHUNK_LIMIT and host + size <= ZONE_LIMIT, f"size of {what}")
            require(row_count <= 1 << 20 and row_count <= rows_plain <= 15 * row_count,
                    f"rows of {what}")
            require(reloc_count <= size // 4 and reloc_count <= relocs_plain <= 5 * reloc_count,
                    f"relocations of {what}")
            free_from = (host + size + PAGE - 1) // PAGE * PAGE
            chunk = {"host": host, "size": size, "rows": row_count, "relocs": reloc_count}
            sizes = [(code_stored, size), (rows_stored, rows_plain), (relocs_stored, relocs_plain)]
            for name, (stored, bytes_), digest in zip(NAMES[4:7], sizes, digests):
                check_sizes(stored, bytes_, f"{name} of {what}")
                chunk[name + "_stream"] = at[name], stored, bytes_, digest
                at[name] += stored
                plain[name] += bytes_
            self.chunks.append(chunk)
        for name in NAMES[4:7]:
            require((at[name], plain[name]) == (len(self.sections[name][0]), self.sections[name][1]),
                    f"chunks do not fill section {name}")
        self.zone_size = free_from

    def in_chunk(self, host):
        low, high = 0, len(self.chunks)
        while low < high:
            middle = (low + high) // 2
            if self.chunks[middle]["host"] <= host:
                low = middle + 1
            else:
                high = middle
        return low > 0 and host - self.chunks[low - 1]["host"] < self.chunks[low - 1]["size"]

    def read_entries(self):
        count = self.meta["entry_count"]
        columns = Columns(self.blocked("entries", 10 << 24), "entries")
        guests, guest = [], 0
        for i in range(count):
            delta = columns.varint()
            require(i == 0 or delta > 0, "entries not ascending")
            guest += delta
            require(guest < 1 << 32, "entry past 4 GiB")
            guests.append(guest)
        host, self.entries = 0, []
        for guest in guests:
            host = (host + columns.svarint()) % (1 << 32)
            require(self.in_chunk(host), "entry outside every chunk")
            self.entries.append((guest, host))
        columns.end()

    def read_pages(self):
        count = self.meta["page_count"]
        columns = Columns(self.blocked("pages", 13 << 20), "pages")
        numbers, number = [], 0
        for i in range(count):
            delta = columns.varint()
            require(i == 0 or delta > 0, "pages not ascending")
            number += delta
            require(number <= 1048575, "page past 4 GiB")
            numbers.append(number)
        self.pages = [(number * PAGE, columns.u64()) for number in numbers]
        columns.end()

    def chunk_stream(self, i, name):
        at, stored, plain, digest = self.chunks[i][name + "_stream"]
        data = self.sections[name][0][at:at + stored]
        require(xxh3_64(data) == digest, f"hash of the {name} of chunk {i}")
        return inflate(data, plain, f"{name} of chunk {i}")

    def rows(self, i):
        """[(host, guest, esp delta, kind)]"""
        chunk = self.chunks[i]
        columns = Columns(self.chunk_stream(i, "rows"), f"rows of chunk {i}")
        hosts, at = [], 0
        for _ in range(chunk["rows"]):
            word = columns.varint()
            at += word >> 1
            require(at < chunk["size"], f"row outside chunk {i}")
            hosts.append((chunk["host"] + at, word & 1))
        guests, guest = [], 0
        for _, kind in hosts:
            if kind == 0:
                guest = (guest + columns.svarint()) % (1 << 32)
            guests.append(guest if kind == 0 else 0)
        out, esp = [], 0
        for (host, kind), guest in zip(hosts, guests):
            if kind == 0:
                esp = (esp + columns.svarint()) % (1 << 32)
            out.append((host, guest, signed(esp) if kind == 0 else 0, kind))
        columns.end()
        return out

    def relocs(self, i):
        """[(host, negate)]"""
        chunk = self.chunks[i]
        columns = Columns(self.chunk_stream(i, "relocs"), f"relocs of chunk {i}")
        out, at = [], 0
        for n in range(chunk["relocs"]):
            word = columns.varint()
            at += word >> 1
            require(n == 0 or word >> 1 >= 4, f"relocations of chunk {i} overlap")
            require(at + 4 <= chunk["size"], f"relocation leaves chunk {i}")
            out.append((chunk["host"] + at, word & 1))
        columns.end()
        return out

    def code(self, i, bias=0):
        code = bytearray(self.chunk_stream(i, "code"))
        for host, negate in self.relocs(i) if bias else []:
            at = host - self.chunks[i]["host"]
            value = struct.unpack_from("<I", code, at)[0] + (-bias if negate else bias)
            struct.pack_into("<I", code, at, value % (1 << 32))
        return bytes(code)

    def guest(self):
        data = b"".join(inflate(d, plain, "guest") for d, plain in self.guest_blocks)
        if self.hashed(data):
            expected = self.meta["guest_hash_low"], self.meta["guest_hash_high"]
            require(xxh3_128(data) == expected, "guest hash")
        return data

    def read_everything(self):
        for i in range(len(self.chunks)):
            self.code(i)
            self.rows(i)
            self.relocs(i)
        if self.guest_blocks is not None:
            self.guest()


def summary(cache):
    return {
        "schema": "vxc-summary-1",
        "bytes": len(cache.data),
        "meta": cache.meta,
        "zone_size": cache.zone_size,
        "has_guest": cache.guest_blocks is not None,
        "sections": {name: {"stored": len(data), "plain": plain}
                     for name, (data, plain) in cache.sections.items()},
        "rows": sum(chunk["rows"] for chunk in cache.chunks),
        "relocs": sum(chunk["relocs"] for chunk in cache.chunks),
    }


def dump(cache, bias, out):
    print("meta", *cache.meta.values(), cache.zone_size, file=out)
    numbers = range(len(cache.chunks))
    for chunk in cache.chunks:
        print("chunk", chunk["host"], chunk["size"], file=out)
    for entry in cache.entries:
        print("entry", *entry, file=out)
    for page in cache.pages:
        print("page", *page, file=out)
    for i in numbers:
        for row in cache.rows(i):
            print("row", *row, file=out)
    for i in numbers:
        for reloc in cache.relocs(i):
            print("reloc", *reloc, file=out)
    for i in numbers:
        print("code", i, cache.code(i, bias).hex(), file=out)
    if cache.guest_blocks is not None:
        print("guest", cache.guest().hex(), file=out)


def check(path, fast):
    try:
        with open(path, "rb") as file:
            Cache(file.read(), fast).read_everything()
    except Bad as why:
        print(f"bad: {why}")
        return False
    print("ok")
    return True


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dump", action="store_true", help="print everything")
    parser.add_argument("--check", action="store_true", help="one verdict a file")
    parser.add_argument("--fast", action="store_true", help="skip hashes of more than 1 MiB")
    parser.add_argument("--bias", type=lambda text: int(text, 0), default=0, help="load bias")
    parser.add_argument("files", nargs="+", metavar="FILE")
    args = parser.parse_args()
    if args.check:
        good = [check(path, args.fast) for path in args.files]
        return 0 if all(good) else 1
    try:
        with open(args.files[0], "rb") as file:
            cache = Cache(file.read(), args.fast)
        if args.dump:
            dump(cache, args.bias, sys.stdout)
        else:
            json.dump(summary(cache), sys.stdout, indent=2)
            print()
    except Bad as why:
        print(f"{args.files[0]}: {why}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
