#!/usr/bin/env python3
"""Make the first inputs of the fuzz targets: small guests of ours, their caches, and code of both kinds.

usage: seeds.py VXC OUT-DIR        writes OUT-DIR/elf, cache, verifier, decode, translate, load

Exit status: 0; 77 without a compiler for i386 (gcc -m32).
"""
import json
import os
import random
import subprocess
import sys

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


if __name__ == "__main__":
    main()
