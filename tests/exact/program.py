"""Programs of many cases for runner.c: made from a seed, linked, and run natively or under vxrun."""
import os
import random
import re
import struct
import subprocess

import blocks
import forms
import table

HERE = os.path.dirname(os.path.abspath(__file__))
FINISH, CODE, TABLE = 0x1F000000, 0x20000000, 0x28000000
STEP, PLAIN_FP, DEFINED, LOOSE = 1, 2, 4, 8
ALL_FLAGS = 0xFFFFFFFF & ~0x10000   # RF in a signal's frame is the kernel's
RESULT = struct.Struct("<III")
CFLAGS = ["-m32", "-nostdlib", "-static", "-no-pie", "-fno-pic", "-O2", "-ffreestanding", "-fno-stack-protector",
          "-fno-tree-loop-distribute-patterns", "-mgeneral-regs-only", "-fcf-protection=none"]


class Case:
    """Instructions (bytes each), the number its state is made from, and which variant is where."""

    def __init__(self, seed, instructions, options=0, flags=ALL_FLAGS, variant=None, at=0, kind=""):
        self.seed, self.instructions, self.options, self.flags = seed, instructions, options, flags
        self.variant, self.at, self.kind, self.where = variant, at, kind, CODE

    def code(self):
        return b"".join(self.instructions)

    def offset(self):
        """Where the variant's instruction lies."""
        return sum(map(len, self.instructions[:self.at]))


class Supply:
    """Variants that have an oracle on this machine and in this virtual CPU, and those that have none, by reason."""

    def __init__(self, host, guest):
        self.variants, self.left_out = [], {}
        self.has_avx = "avx" in host & guest
        for row in table.rows():
            needs = features(row)
            if row.name in forms.NO_ORACLE:
                reason = forms.NO_ORACLE[row.name]
            elif row.klass == "UD":
                reason = "#UD here; another instruction on some processors"
            elif not needs <= guest:
                reason = "not in the virtual CPU: " + ", ".join(sorted(needs - guest))
            elif not needs <= host:
                reason = "not in this machine: " + ", ".join(sorted(needs - host))
            else:
                self.variants += forms.variants(row)
                continue
            self.left_out.setdefault(reason, []).append(row)
        quiet = ("PASS", "INC_R", "DEC_R", "PUSH_R", "POP_R", "PUSH_I", "LEA", "MOV_MOFFS", "PUSH_E", "POP_E", "NOP_E", "STRING", "SALC")
        self.calm = [v for v in self.variants if v.row.klass in quiet and v.row.name not in forms.CLEARED and "illegal" not in v.how and "edge" not in v.how and
                     v.how not in ("a16", "a16 o16", "es a16")]


def features(row):
    """Features of a row, as /proc/cpuinfo names them."""
    if row.cpu == "0":
        return set()
    other = {"SSE3": "pni", "SSE41": "sse4_1", "SSE42": "sse4_2", "PCLMUL": "pclmulqdq", "LZCNT": "abm", "SHA": "sha_ni", "PCLMULQDQ": "pclmulqdq"}
    return {other.get(name.strip(), name.strip().lower()) for name in row.cpu.strip("()").split("|")}


def host_features():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith("flags"):
                return set(line.split(":")[1].split())
    return set()


NAMES = {"sse3": "pni", "sse4.1": "sse4_1", "sse4.2": "sse4_2", "lzcnt": "abm", "sha": "sha_ni"} # ours, as /proc/cpuinfo has them
DEFAULT = {"pni", "ssse3", "sse4_1", "sse4_2", "popcnt", "tsc"}


def guest_features(text):
    """Features of a virtual CPU, from the text that vxc info shows: a model and what is added to it or taken away."""
    model, *rest = re.split("(?=[+-])", text)
    found = set(DEFAULT) if model == "sse4.2" else {"tsc"} if model == "i686-sse2" else host_features()
    for change in rest:
        name = NAMES.get(change[1:], change[1:])
        (found.add if change[0] == "+" else found.discard)(name)
    return found


def moves_stack(code):
    """add or sub of a constant to esp, and ret: flags may be dead behind it."""
    code = code.lstrip(b"\x26\x2E\x36\x3E\x64\x65\x66\x67\xF2\xF3")
    return code[:2] in (b"\x83\xC4", b"\x83\xEC", b"\x81\xC4", b"\x81\xEC") or code[:1] in (b"\xC3", b"\xC2", b"\xE8") or \
        (code[:1] == b"\xFF" and code[1] & 0x38 == 0x10)


def make_cases(supply, seed, count, rewriting=False, alone=None):
    """The cases of one program. Every variant comes in turn; all else is random. Addresses are given out in order. alone: a list of
    variants, to be executed without other instructions."""
    rng = random.Random(seed)
    encoder = forms.Encoder(rng)
    order = list(alone or supply.variants)
    random.Random(1).shuffle(order)
    start = seed * (count - count // 4) # programs of consecutive seeds go on where the last one ended
    cases, pc = [], CODE
    kinds = blocks.REWRITING if rewriting else blocks.BLOCKS
    for n in range(count):
        case = Case(rng.getrandbits(32), [])
        out = case.instructions
        if rng.getrandbits(7) == 0: # slow on virtual machines
            case.options |= STEP
        here = pc
        is_block = not alone and (rewriting or n % 4 == 3)
        for part in range(1 if alone else 1 + encoder.pick((0, 0, 1, 1, 2))):
            if part == 0 and is_block:
                kind = kinds[(start + n // 4) % len(kinds)]
                case.kind = kind.__name__
                made = blocks.block(rng, kind, here)
            elif part == 0:
                case.variant = order[(start + n - n // 4) % len(order)]
                made, at = encoder.encode(case.variant, here)
                case.at = len(out) + at
            else:
                made, _ = encoder.encode(encoder.pick(supply.calm), here)
                if not is_block and rng.getrandbits(1): # in front
                    case.instructions = out = []
                    made, _ = encoder.encode(encoder.pick(supply.calm), pc)
                    out += made
                    here = pc + sum(map(len, made))
                    made, at = encoder.encode(case.variant, here)
                    case.at = len(out) + at
            out += made
            here += sum(map(len, made))
        case.where, pc = pc, pc + sum(map(len, out)) + 5
        if case.variant and case.variant.row.name in forms.CLEARED:
            case.options &= ~STEP
        if is_block or any(moves_stack(i) for i in out):
            case.options |= LOOSE
        cases.append(case)
    return cases


def blob(cases):
    """Code and table of a program."""
    code, rows = bytearray(), []
    for case in cases:
        rows.append(struct.pack("<IIII", CODE + len(code), case.seed, case.options, case.flags))
        code += case.code()
        code += b"\xE9" + forms.le(FINISH - (CODE + len(code) + 5), 4)
    return bytes(code), b"".join(rows)


def runner_object(work):
    path = os.path.join(work, "runner.o")
    source = os.path.join(HERE, "runner.c")
    if not os.path.exists(path) or os.path.getmtime(path) < os.path.getmtime(source):
        subprocess.run(["gcc", *CFLAGS, "-c", source, "-o", path], check=True)
    return path


def link(cases, base, work, has_avx=False, writable=False):
    """Write the program `base`."""
    code, rows = blob(cases)
    for name, data in ((".code", code), (".table", struct.pack("<IIII", len(cases), has_avx, 7 if writable else 3, 0) + rows)):
        with open(base + name, "wb") as out:
            out.write(data)
    source = f"""
 .section .cases,"ax"
 .incbin "{base}.code"
 .section .cases_table,"a"
 .globl table
 table: .incbin "{base}.table"
 .section .note.GNU-stack,"",@progbits
"""
    command = ["gcc", "-m32", "-nostdlib", "-static", "-no-pie", runner_object(work), "-x", "assembler", "-", "-o", base]
    for name, address in ((".finish", FINISH), (".cases", CODE), (".cases_table", TABLE)):
        command.append(f"-Wl,--section-start={name}={address:#x}")
    subprocess.run(command, input=source.encode(), check=True)


def results(output):
    return list(RESULT.iter_unpack(output[:len(output) // RESULT.size * RESULT.size]))
