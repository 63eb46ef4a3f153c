#!/usr/bin/env python3
"""Make the first inputs of the fuzz targets: small guests of ours, their caches, and code of both kinds.

usage: seeds.py VXC OUT-DIR        writes OUT-DIR/elf, cache, verifier, decode, translate, load, personality, calls

Exit status: 0; 77 without a compiler for i386 (gcc -m32).
"""
import json
import os
import random
import subprocess
import sys

import call_seeds

STATIC = """
.globl _start
_start: mov $7, %ebx
        mov $table, %eax
        call *(%eax)
        call leaf
        mov $3, %ecx
        lea data, %edi
        rep stosl
        cmp $2, %ebx
        ja 1f
        jmp *table(, %ebx, 4)
1:      mov $1, %eax
        int $0x80
one:    add $1, %ebx
        fldpi
        paddd %xmm1, %xmm0
        ret
leaf:   push %ebp
        mov %esp, %ebp
        sub $20, %esp
        leave
        ret $4
.data
table:  .long one, leaf, 1b
data:   .space 64
"""
SHARED = """
int table[40];
static int hidden(int x) { return x * 3; }
int (*pointer)(int) = hidden;
int exported(int x) { switch (x) { case 0: return table[3]; case 1: return 5; case 2: return pointer(x);
                                   case 3: return 9; case 4: return 1; default: return x << 3; } }
"""


# System calls of fuzz_personality: number and arguments; a text of digits is the place of so many 64-byte blocks of data.
CALLS = {
    "files": [(5, "0", 0x242, 0x1b6), (4, 3, "32", 64), (19, 3, 0, 0), (3, 3, "40", 64), (145, 3, "24", 2), (197, 3, "41"), (6, 3), (38, "0", "1"),
              (195, "1", "42"), (10, "1")],
    "directories": [(39, "2", 0x1ff), (12, "2"), (183, "40", 256), (295, 0xFFFFFF9C, "4", 0x10000), (220, 3, "40", 512), (133, 3), (40, "2")],
    "links": [(83, "7", "0"), (85, "0", "40", 64), (5, "0", 0), (5, "11", 0), (5, "26", 0), (9, "11", "1"), (38, "11", "1"), (106, "9", "40")],
    "memory": [(192, 0, 0x4000, 3, 0x22, 0xFFFFFFFF, 0), (125, 0x804B000, 0x1000, 1), (163, 0x804B000, 0x1000, 0x2000, 1), (45, 0), (45, 0x8060000),
               (91, 0x8050000, 0x10000), (219, 0x804C000, 0x1000, 4)],
    "pipes": [(331, "40", 0), (4, 4, "32", 10), (3, 3, "41", 10), (63, 3, 20), (168, "43", 1, 1), (142, 10, "44", 0, 0, "25"), (221, 3, 3, 0), (41, 4)],
    "signals": [(174, 10, "45", 0, 8), (175, 0, "45", 0, 8), (37, 1000, 10), (175, 1, "45", 0, 8), (186, "46", 0), (177, "45", 0, "25", 8), (119,)],
    "times": [(265, 1, "40"), (162, "25", "41"), (259, 1, 0, "40"), (260, 0, 0, "25", "41"), (263, 0), (104, 1, "25", "41"), (403, 0, "42")],
    "threads": [(120, 0x3D0F00, "60", "50", 0, "51"), (240, "52", 1, 1), (240, "52", 0, 0, "25"), (224,), (258, "50"), (311, "50", 12), (158,), (1, 0)],
    "events": [(329, 0), (328, 3, 0), (255, 3, 1, 4, "44"), (256, 3, "45", 4, 1), (4, 4, "32", 8), (322, 0, 0), (327, "45", 8)],
    # A wait of 292 years ends by the guest's time limit, and the guest with it.
    "pselect6": [(413, 0, 0, 0, 0, "30")],
    "ppoll": [(414, 0, 0, "30")],
    "sigtimedwait": [(421, "33", 0, "30", 8)],
    "futex": [(422, "33", 0x80, 0x43424140, "30")],
    "sleep": [(407, 1, 0, "30", "34")],
    "sleep_until": [(407, 1, 1, "30", "34")],
    "epoll": [(329, 0), (441, 3, "33", 1, "30")],
    "timers": [(259, 1, 0, "40"), (409, 0, 0, "30", "41"), (322, 1, 0), (411, 3, 0, "30", "42"), (412, 0xFFFFFF9C, "2", "30")],
    "refused": [(2,), (11, "0", "24", "25"), (190,), (359, 2, 1, 0), (26, 0, 0), (165, "0"), (21, "0", "1"), (117, 1), (301, 0, 0, 0)],
}


def call_bytes(number, *arguments):
    """As fuzz_personality reads it."""
    out = (0xFE00 + number).to_bytes(2, "little")
    for value in [*arguments, 0, 0, 0, 0, 0, 0][:6]:
        if isinstance(value, str):
            out += bytes([0x40 + int(value)])
        else:
            out += bytes([value]) if value < 0x40 else b"\xC0" + value.to_bytes(4, "little")
    return out


def make(name, source, language, *options):
    done = subprocess.run(["gcc", "-m32", "-nostdlib", *options, "-x", language, "-", "-o", name],
                          input=source.encode(), stderr=subprocess.DEVNULL, check=False)
    if done.returncode:
        print("no gcc -m32: no seeds", file=sys.stderr)
        sys.exit(77)
    with open(name, "rb") as file:
        return file.read()


def write(folder, name, content):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as out:
        out.write(content)


def section(cache, name):
    """(offset, size) of a section, from vxc info."""
    for item in cache["sections"]:
        if item["name"] == name:
            return item["offset"], item["stored_bytes"]
    raise KeyError(name)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    vxc, out = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    os.makedirs(out, exist_ok=True)
    os.chdir(out)
    for name, content in call_seeds.seeds():
        write("calls", name, content)
    guests = {"static": make("guest", STATIC, "assembler", "-static", "-no-pie", "-s"),
              "shared": make("guest.so", SHARED, "c", "-O2", "-fPIC", "-shared"),
              "pie": make("guest.pie", SHARED + "void _start(void) { exported(2); __builtin_trap(); }", "c", "-O2", "-static-pie")}
    order = random.Random(1)
    for name, elf in guests.items():
        write("elf", name, elf)
        write("load", name + ".elf", b"\0" + elf)
        write("guest-" + name, "elf", elf)
        for level in ("0", "6"):
            cache = f"{name}-{level}.vxc"
            subprocess.run([vxc, "compile", "--level", level, "-o", cache, f"guest-{name}/elf"], check=True)
            with open(cache, "rb") as file:
                content = file.read()
            write("cache", cache, content)
            write("load", cache, b"\1" + content)
        info = subprocess.run([vxc, "info", "--json", f"{name}-0.vxc"], check=True, capture_output=True).stdout
        with open(f"{name}-0.vxc", "rb") as file:
            content = file.read()
        offset, size = section(json.loads(info), "code")
        write("verifier", name, b"\0\0" + content[offset:offset + size])
        text = elf[0x1000:0x1400]
        write("translate", name, b"\x23\3\0" + text)
        for i in range(20):
            at = order.randrange(max(1, len(text) - 16))
            write("decode", f"{name}-{i}", b"\0\x80\4\x08" + text[at:at + 16])
    for name, calls in CALLS.items():
        for choices in range(2):
            write("personality", f"{name}-{choices}", bytes([choices, len(calls)]) + b"".join(call_bytes(*call) for call in calls) + bytes(range(256)))


if __name__ == "__main__":
    main()
