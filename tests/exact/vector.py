#!/usr/bin/env python3
"""Compare the instructions of optional CPU features under vxrun with the processor itself.

usage: vector.py BIN-DIR [--seed N] [--rounds N] [--keep DIR] [--list]

Every row of the opcode table that needs a feature beyond SSE4.2, VEX rows among them, in every form: register and memory, both
values of VEX.L and VEX.W where they are allowed, two- and three-byte VEX, and bits that 32-bit mode ignores set at random. A
case loads random general registers, flags and ymm registers, runs one instruction, and records all of that and the memory.
The program's output natively, from the cache, and without a cache must be equal. A row that nothing was made of fails the run.
Exits 0 when all agree, 1 on a difference, 77 when gcc -m32 is missing or the processor has no AVX.
"""
import argparse
import os
import random
import re
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import table  # noqa: E402

SCRATCH = 1024
MIDDLE = 512
STATE = 36 + 4 + 256 + SCRATCH
BUFFERED = 32  # records
# VX_CPU_* and its names in /proc/cpuinfo
FEATURES = {"LZCNT": "abm", "BMI1": "bmi1", "BMI2": "bmi2", "MOVBE": "movbe", "AES": "aes", "PCLMULQDQ": "pclmulqdq", "SHA": "sha_ni",
            "ADX": "adx", "AVX": "avx", "AVX2": "avx2", "FMA": "fma", "F16C": "f16c"}
# Not the same twice, or in no user's CPU by that name: test_cpu.c and test_vector.c have them.
ELSEWHERE = {"rdrand", "rdseed", "rdtsc", "rdtscp", "xgetbv", "xsetbv", "xsave", "xsavec", "xsaveopt", "xrstor"}
ALIGNED = {"vmovaps", "vmovapd", "vmovdqa", "vmovntps", "vmovntpd", "vmovntdq", "vmovntdqa"}
POINTERS = {3: "ebx", 5: "ebp", 6: "esi", 7: "edi"}


def optional_rows():
    """The rows that need one of FEATURES."""
    rows = [Encoding(fields) for fields in table.fields()]
    return [row for row in rows if row.features and row.name not in ELSEWHERE and row.klass != "UD"]


class Encoding:
    """A row with everything that an encoder wants."""

    def __init__(self, fields):
        self.map, self.prefix, self.opcode = int(fields[0], 0), fields[1], eval(fields[2], {})  # pylint: disable=eval-used
        self.form = set(re.findall(r"[A-Z]\w*(?:\(\w+\))?", fields[3]))
        text = ["".join(re.findall(r'"([^"]*)"', field)) for field in fields[4:7]]
        self.name, self.access, self.klass = text[0], text[2], fields[7]
        self.operands = text[1].split(",") if text[1] else []
        self.features = set(re.findall(r"VX_CPU_(\w+)", fields[8])) & set(FEATURES)
        self.is_vex = self.map >= 4
        self.map -= 3 if self.is_vex else 0

    def digit(self):
        for part in self.form:
            if found := re.match(r"D[MR]?\((\d)\)", part):
                return int(found[1])
        return None

    def forms(self):
        """r, m: which of the register and memory forms there are."""
        kinds = {o[0] for o in self.operands}
        only_memory = "M" in kinds or "MEM" in self.form or any(p.startswith("DM(") for p in self.form)
        only_register = kinds & set("UNR") or "REG" in self.form or any(p.startswith("DR(") for p in self.form)
        if not kinds & set("EWQMUNRGV"):
            return [None]
        return (["r"] if not only_memory else []) + (["m"] if not only_register else [])

    def lengths(self):
        names = {"VL0": [0], "VL1": [1], "VL": [0, 1], "VLIG": [0, 1]}
        return next((v for k, v in names.items() if k in self.form), [0])

    def widths(self):
        names = {"VW0": [0], "VW1": [1], "VWIG": [0, 1]}
        return next((v for k, v in names.items() if k in self.form), [0])

    def is_sized(self):
        return not self.is_vex and self.prefix in ("NP", "PF3") and any(o[1:2] == "v" for o in self.operands)

    def key(self):
        return f"{self.name} {','.join(self.operands)} {self.prefix} {sorted(self.form)}"


class Program:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.cases, self.made = [], set()

    def address(self, reg, is_aligned):
        """ModRM and what follows for an operand in the middle of the scratch memory."""
        r = self.random
        disp = r.randrange(-96, 96, 32) if is_aligned else r.randrange(-128, 128)
        kind = r.randrange(4)
        if kind == 0:
            return [0x40 | reg << 3 | r.choice([3, 5, 6, 7]), disp & 255]
        if kind == 1:
            return [0x44 | reg << 3, r.randrange(4) << 6 | 1 << 3 | r.choice([3, 5, 6, 7]), disp & 255]
        if kind == 2:
            return [0x80 | reg << 3 | r.choice([3, 5, 6, 7]), *struct.pack("<i", disp)]
        return [0x05 | reg << 3, f"scratch+{MIDDLE + disp}"]

    def encode(self, row, form, length, width, is_16):
        """Bytes and words of one instruction; what the case has to prepare."""
        r = self.random
        regs, kinds = {}, {}
        general = [0, 1, 2, 3, 5, 6, 7]
        for operand, access in zip(row.operands, row.access):
            place = {"G": "reg", "V": "reg", "P": "reg", "E": "rm", "W": "rm", "U": "rm", "R": "rm", "H": "v", "B": "v", "L": "imm"}.get(operand[0])
            if place:
                is_general = operand[0] in "GEBR"
                choice = general + [4] if is_general and access == "r" else general if is_general else range(8)
                regs[place], kinds[place] = r.choice(choice), operand[0]
        gather = row.klass == "GATHER"
        if gather:
            regs["reg"], regs["v"], index = r.sample(range(8), 3)
        digit = row.digit()
        reg = digit if digit is not None else regs.get("reg", 0)
        is_aligned = row.name in ALIGNED or not row.is_vex and "V" in kinds.values()
        tail = []
        if gather:
            base = r.choice([3, 5, 6, 7])
            tail = [0x44 | reg << 3, r.randrange(3) << 6 | index << 3 | base, r.randrange(-64, 64) & 255]
        elif row.name == "vldmxcsr":
            tail = [0x05 | reg << 3, "other_mxcsr"]
        elif form == "m":
            tail = self.address(reg, is_aligned)
        elif form == "r":
            tail = [0xC0 | reg << 3 | regs.get("rm", 0)]
        if any(o == "Lx" for o in row.operands):
            tail.append(r.getrandbits(8))
        elif any(o.startswith("I") for o in row.operands):
            tail.append(r.choice([0, 1, 3, 4, 7, 8, 15, 16, 31, 32, 0x80, 0xff, r.getrandbits(8)]))
        pp = {"NP": 0, "NPO": 0, "P66": 1, "PF3": 2, "PF2": 3}[row.prefix]
        if not row.is_vex:
            head = ([0x66] if is_16 else []) + [[], [0x66], [0xF3], [0xF2]][pp] + [0x0F] + {1: [], 2: [0x38], 3: [0x3A]}[row.map]
            return head + [row.opcode] + tail, index if gather else None
        v = ~regs["v"] & 7 if "v" in regs else 7
        last = v << 3 | length << 2 | pp
        if row.map == 1 and not width and r.random() < 0.5:
            return [0xC5, 0xC0 | last, row.opcode] + tail, index if gather else None
        high = 0x40 if "v" not in regs or r.random() < 0.7 else 0
        return [0xC4, 0xC0 | r.getrandbits(1) << 5 | row.map, width << 7 | high | last, row.opcode] + tail, index if gather else None

    def add(self, row, form, length, width, is_16=False):
        code, index = self.encode(row, form, length, width, is_16)
        self.made.add(row.key())
        self.cases.append((row, code, index))

    def assembly(self):
        r, out = self.random, [PROLOGUE]
        for number, (row, code, index) in enumerate(self.cases):
            out.append(f"case{number}: movl ${r.getrandbits(32)}, %eax\n  movl ${r.randrange(5)}, %edx\n  call setup")
            if index is not None:
                out.append(f"  vpand small{64 if row.opcode & 1 else 32}, %ymm{index}, %ymm{index}")
            regs = [(n, f"scratch+{MIDDLE + r.randrange(-64, 64, 32)}") for n in POINTERS.values()]
            regs += [("eax", r.choice([0, 1, 0x80000000, 0xFFFFFFFF, r.getrandbits(32), r.getrandbits(6)])),
                     ("edx", r.choice([0, 31, 32, 0x1F04, r.getrandbits(32), r.getrandbits(16)])), ("ecx", r.randrange(0, 4) * 32)]
            out.append(f"  pushl ${r.getrandbits(12) & 0x8D5 | 2}\n  popfl")
            out += [f"  movl ${value}, %{name}" for name, value in regs]
            out.append("\n".join(f"  .long {item}" if isinstance(item, str) else f"  .byte {item}" for item in code))
            out.append("  call record")
        out.append(EPILOGUE)
        return "\n".join(out)


PROLOGUE = f"""  .text
  .globl _start
record: movl %eax, regs
  pushfl
  popl regs+32
  movl %ecx, regs+4
  movl %edx, regs+8
  movl %ebx, regs+12
  movl %esp, regs+16
  movl %ebp, regs+20
  movl %esi, regs+24
  movl %edi, regs+28
  stmxcsr regs+36
  ldmxcsr mxcsr
""" + "\n".join(f"  vmovups %ymm{i}, regs+{40 + 32 * i}" for i in range(8)) + f"""
  movl out, %edi
  movl $regs, %esi
  movl $296, %ecx
  rep movsb
  movl $scratch, %esi
  movl ${SCRATCH}, %ecx
  rep movsb
  movl %edi, out
  cmpl $buffer+{STATE * BUFFERED}, %edi
  jb 1f
  call flush
1: ret
flush: movl $4, %eax
  movl $1, %ebx
  movl $buffer, %ecx
  movl out, %edx
  subl %ecx, %edx
  int $0x80
  movl $buffer, out
  ret
# Random memory and ymm registers from eax. edx: 1 numbers near 1 of 4 bytes, 2 of 8 bytes, 3 small integers, 4 masks
setup: movl $scratch, %edi
  movl ${SCRATCH // 4}, %ecx
1: imull $1664525, %eax
  addl $1013904223, %eax
  movl %eax, %ebx
  rorl $11, %ebx
  cmpl $1, %edx
  jne 2f
  andl $0x83ffffff, %ebx
  orl $0x3c000000, %ebx
2: cmpl $2, %edx
  jne 2f
  testl $1, %ecx
  jz 2f
  andl $0x803fffff, %ebx
  orl $0x3fc00000, %ebx
2: cmpl $3, %edx
  jne 2f
  andl $0x3f, %ebx
2: cmpl $4, %edx
  jne 2f
  sarl $31, %ebx
2: movl %ebx, (%edi)
  addl $4, %edi
  loop 1b
""" + "\n".join(f"  vmovups scratch+{SCRATCH - 333 + 37 * i}, %ymm{i}" for i in range(8)) + """
  ret
_start: leal stack_end, %esp
"""
EPILOGUE = f"""  call flush
  movl $1, %eax
  xorl %ebx, %ebx
  int $0x80
  .section .note.GNU-stack,"",@progbits
  .data
  .balign 32
small32: .fill 8, 4, 0x1f
small64: .quad 0xffffffff0000001f, 0x0000001f, 0x800000000000001f, 0x7fffffff0000001f # addresses have 32 bits: the rest is cut
  .balign 64
regs: .space 320
mxcsr: .long 0x1f80
other_mxcsr: .long 0xffc0
out: .long buffer
  .balign 4096
  .space 4096
scratch: .space {SCRATCH}
  .space 8192
stack_end: .space 64
buffer: .space {STATE * (BUFFERED + 1)}
"""


def field(offset):
    names = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eflags", "mxcsr"]
    if offset < 40:
        return names[offset // 4]
    return f"ymm{(offset - 40) // 32}+{(offset - 40) % 32}" if offset < 296 else f"scratch+{offset - 296}"


def explain(program, native, ours):
    if len(native) != len(ours):
        print(f"  output has {len(ours)} bytes instead of {len(native)}")
    for number, (row, code, _) in enumerate(program.cases):
        a, b = (text[number * STATE:(number + 1) * STATE] for text in (native, ours))
        if a == b:
            continue
        print(f"  case {number}: {row.name}: {' '.join(item if isinstance(item, str) else f'{item:02x}' for item in code)}")
        for at in range(0, min(len(a), len(b)), 4):
            if a[at:at + 4] != b[at:at + 4]:
                print(f"    {field(at)}: native {a[at:at + 4][::-1].hex()}, ours {b[at:at + 4][::-1].hex()}")
        return


def run(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300, check=False)


def have():
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
            flags = set(next((line.split() for line in info if line.startswith("flags")), []))
    except OSError:
        return set()
    return {name for name, flag in FEATURES.items() if flag in flags}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2, help="cases of each form of each row")
    parser.add_argument("--keep")
    parser.add_argument("--list", action="store_true")
    args = parser.parse_args()
    vxc, vxrun = os.path.join(args.bin, "vxc"), os.path.join(args.bin, "vxrun")
    features = have()
    if "AVX" not in features:
        print("skipped: this processor has no AVX")
        return 77
    if run(["gcc", "-m32", "-nostdlib", "-static", "-x", "c", "/dev/null", "-r", "-o", "/dev/null"]).returncode:
        print("skipped: gcc -m32 does not work here")
        return 77
    work = args.keep or tempfile.mkdtemp(prefix="vx-vector-")
    os.makedirs(work, exist_ok=True)
    rows = optional_rows()
    left_out = sorted({row.name for row in rows if not row.features <= features})
    rows = [row for row in rows if row.features <= features]
    program = Program(args.seed)
    for _ in range(args.rounds):
        for row in rows:
            for form in row.forms():
                for length in row.lengths():
                    for width in row.widths():
                        program.add(row, form, length, width)
            if row.is_sized():
                program.add(row, "m", 0, 0, True)
    missing = [row.key() for row in rows if row.key() not in program.made]
    if args.list:
        print("\n".join(row.key() for row in rows))
    base = os.path.join(work, f"vector{args.seed}")
    with open(base + ".s", "w", encoding="ascii") as out:
        out.write(program.assembly())
    subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-no-pie", "-x", "assembler", base + ".s", "-o", base], check=True)
    subprocess.run([vxc, "compile", "--cpu", "host", "-o", base + ".vxc", base], check=True)
    native = run([base])
    if native.returncode or len(native.stdout) != STATE * len(program.cases):
        print(f"native run ended with {native.returncode} in case {len(native.stdout) // STATE}")
        return 1
    for name, command in (("cache", [vxrun, "--no-dynamic", base + ".vxc"]), ("dynamic", [vxrun, "--cpu", "host", "--no-cache", base])):
        ours = run(command)
        if ours.stdout != native.stdout or ours.returncode != native.returncode:
            print(f"seed {args.seed}, {name}: DIFFERENT (exit {ours.returncode}) {ours.stderr.decode()}")
            explain(program, native.stdout, ours.stdout)
            return 1
    print(f"seed {args.seed}: {len(rows)} rows, {len(program.cases)} cases equal" +
          (f"; this processor lacks what {len(left_out)} more need" if left_out else ""))
    if missing:
        print("no case of", *missing, sep="\n  ")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
