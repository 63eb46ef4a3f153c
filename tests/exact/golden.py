#!/usr/bin/env python3
"""Results of this engine's sequences as a processor gave them, for hosts that refuse 32-bit processes.

usage: golden.py BIN-DIR [--keep DIR]     replay golden.xz under vxrun: from a cache and translated at run time
       golden.py --record [--cases N]     make golden.xz anew, from native runs

golden.xz (lzma) holds the sequences and a hash of what each did natively; it depends on nothing but itself and runner.c, whose
hash it names. It has only what every processor does alike: flags that the manual defines, no approximations (rcpps),
no transcendental functions, no operands across the page's edge. Exits 0 if all agree, 1 if not, 77 if gcc cannot build for i386.
"""
import argparse
import collections
import hashlib
import lzma
import os
import random
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import program  # noqa: E402
import run  # noqa: E402
import shrink  # noqa: E402

FILE = os.path.join(HERE, "golden.xz")
CF, PF, AF, ZF, SF, OF = 1, 4, 16, 64, 128, 2048
ALL = CF | PF | AF | ZF | SF | OF
LOGIC, SHIFT = AF, AF | OF | CF
# Flags that the manual leaves undefined; with a memory or register operand that does not depend on them.
UNDEFINED = {**dict.fromkeys(("and", "or", "xor", "test"), LOGIC), **dict.fromkeys(("shl", "shr", "sar", "shld", "shrd"), SHIFT),
             **dict.fromkeys(("rol", "ror", "rcl", "rcr"), OF), **dict.fromkeys(("mul", "imul"), SF | ZF | AF | PF),
             **dict.fromkeys(("bt", "bts", "btr", "btc"), OF | SF | AF | PF), **dict.fromkeys(("div", "idiv"), ALL),
             **dict.fromkeys(("aaa", "aas"), OF | SF | ZF | PF), **dict.fromkeys(("aam", "aad"), OF | AF | CF),
             **dict.fromkeys(("daa", "das"), OF)}
MODELS = ("rcp", "rsqrt", "fsin", "fcos", "fptan", "fpatan", "f2xm1", "fyl2x", "fprem", "bsf", "bsr", "bswap", "shld", "shrd", "rdtsc", "cpuid", "rcl",
          "rcr", "lar", "lsl", "fbld", "fxsave", "fnsave", "fnstenv", "popf", "prefetch", "nop", "fst", "fist", "dpps", "dppd", "mpsadbw", "maskmov",
          "pcmpestr", "pcmpistr", "cmpxchg8b", "int", "enter", "sahf", "lock")


def portable(variant):
    """Does every processor do the same here?"""
    return not variant.row.name.startswith(MODELS) and not any(w in variant.how for w in ("illegal", "edge", "f2", "3e")) and \
        variant.how not in ("a16", "a16 o16") and variant.row.klass in ("PASS", "INC_R", "DEC_R", "PUSH_R", "POP_R", "PUSH_I", "PUSH_E", "POP_E", "LEA",
                                                                      "MOV_MOFFS", "STRING", "DAA", "DAS", "AAA", "AAS", "AAM", "AAD", "SALC", "PUSHA",
                                                                      "POPA", "LEAVE", "JCC", "LOOP", "LOOPE", "LOOPNE", "JCXZ", "JMP", "CALL", "XLAT")


def make_cases(count):
    supply = program.Supply(program.host_features(), program.DEFAULT)
    supply.variants = [v for v in supply.variants if portable(v)]
    supply.calm = []
    cases = []
    for case in program.make_cases(supply, 2026, count, alone=supply.variants):
        name = case.variant.row.name
        case.options = program.PLAIN_FP | program.DEFINED | program.LOOSE
        case.flags = program.ALL_FLAGS & ~UNDEFINED.get(name, 0)
        cases.append(case)
    rng, at = random.Random(7), cases[-1].where + len(cases[-1].code()) + 5
    kinds = [kind for kind in program.blocks.BLOCKS if kind.__name__ != "stack_words"] # which reads all flags
    for n in range(count // 4):
        case = program.Case(rng.getrandbits(32), program.blocks.block(rng, kinds[n % len(kinds)], at, True),
                            program.PLAIN_FP | program.DEFINED | program.LOOSE, program.ALL_FLAGS & ~AF)
        case.where, at = at, at + len(case.code()) + 5
        cases.append(case)
    return cases


def runner_hash():
    with open(os.path.join(HERE, "runner.c"), "rb") as file:
        return hashlib.sha256(file.read()).digest()


def pack(cases, results):
    """Header, then columns: each compresses better beside its like."""
    lengths = b"".join(struct.pack("<H", len(c.code())) for c in cases)
    numbers = b"".join(struct.pack("<IBI", c.seed, c.options, c.flags) for c in cases)
    codes = b"".join(c.code() for c in cases)
    found = b"".join(program.RESULT.pack(*r) for r in results)
    return lzma.compress(b"VXG1" + runner_hash() + struct.pack("<I", len(cases)) + lengths + numbers + codes + found, preset=9 | lzma.PRESET_EXTREME)


def unpack(data):
    """(cases, results), or a message."""
    data = lzma.decompress(data)
    if data[:4] != b"VXG1":
        return None, "golden.xz: not such a file"
    if data[4:36] != runner_hash():
        return None, "golden.xz was made with another runner.c: make it anew with golden.py --record"
    count, = struct.unpack_from("<I", data, 36)
    at = 40
    lengths = struct.unpack_from(f"<{count}H", data, at)
    at += 2 * count
    numbers = list(struct.iter_unpack("<IBI", data[at:at + 9 * count]))
    at += 9 * count
    cases = []
    for (seed, options, flags), length in zip(numbers, lengths):
        cases.append(program.Case(seed, [data[at:at + length]], options, flags))
        at += length
    return (cases, program.results(data[at:at + 12 * count])), None


def record(count, work):
    cases = make_cases(count)
    base = os.path.join(work, "golden")
    program.link(cases, base, work)
    runs = [program.results(run.run([base], run.LONG).stdout) for _ in range(2)]
    if len(runs[0]) != len(cases) or runs[0] != runs[1]:
        print("two native runs differ, or did not end")
        return 1
    data = pack(cases, runs[0])
    with open(FILE + ".new", "wb") as out:
        out.write(data)
    os.replace(FILE + ".new", FILE)
    rows = collections.Counter(c.variant.row.name for c in cases if c.variant)
    print(f"{len(cases)} sequences of {len(rows)} instructions, {len(data)} bytes")
    return 0


def replay(bin_dir, work):
    with open(FILE, "rb") as file:
        found, problem = unpack(file.read())
    if problem:
        print(problem)
        return 1
    cases, expected = found
    base = os.path.join(work, "golden")
    try:
        program.link(cases, base, work)
    except subprocess.CalledProcessError:
        print("skipped: gcc does not build for i386 here")
        return 77
    runs, bad = run.Runs(bin_dir, work, "sse4.2"), 0
    runs.compile(base)
    for name, command in runs.commands(base):
        got = program.results(run.run(command, run.LONG).stdout)
        different = [i for i in range(len(cases)) if i >= len(got) or got[i] != expected[i]]
        bad += len(different)
        for i in different[:5]:
            print(f"{name}, case {i}: {shrink.line(cases[i], False)}: recorded {expected[i]}, here {got[i] if i < len(got) else None}")
    print(f"{len(cases)} recorded sequences, {bad} differ")
    return bad != 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin", nargs="?")
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--cases", type=int, default=24000)
    parser.add_argument("--keep")
    args = parser.parse_args()
    work = args.keep or tempfile.mkdtemp(prefix="vx-golden-")
    os.makedirs(work, exist_ok=True)
    return record(args.cases, work) if args.record else replay(args.bin, work)


if __name__ == "__main__":
    sys.exit(main())
