#!/usr/bin/env python3
"""Compare every kind of fault under vxrun with the processor itself.

usage: faults.py BIN-DIR [--keep DIR] [--only TEXT] [--list] [--cpu NAME]

Each case of fault_cases.py is an instruction whose operand is missing, read-only, or across two pages, or
that raises another exception. faults_runner.c records all registers, x87, SSE and memory at each fault,
repairs the page, lets the instruction start again, and records how it ended. The program's output natively, from the
cache, and without a cache must be equal. Exits 0 when all agree, 1 on a difference, 77 when gcc -m32 is missing.
"""
import argparse
import collections
import os
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import fault_cases  # noqa: E402
import program  # noqa: E402
import run as exact  # noqa: E402
import table  # noqa: E402

WORDS = ["id", "signal", "code", "address", "vector", "error", "cr2", "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip", "eflags",
         "control", "status", "tags", "mxcsr", "memory", "segments"]
RECORD = 4 * len(WORDS) + 80 + 128
SIGNAL, ADDRESS, VECTOR, CR2, EAX, EIP, EFLAGS, STATUS, TAGS = (
    WORDS.index(name) for name in ("signal", "address", "vector", "cr2", "eax", "eip", "eflags", "status", "tags"))
PAGE_FAULT = 14
SHOWN = 12 # differences


def value(word, number):
    return f"end_{number}" if word == "end" else f"{word:#x}"


def assembly(cases):
    """The code and the table of cases; cases with the same bytes share their code."""
    out, known = ['.section .note.GNU-stack,"",@progbits', ".text"], {}
    for case in cases:
        key = bytes(case.code)
        if key not in known:
            known[key] = len(known)
            out.append(f"code_{known[key]}: .byte " + ",".join(map(str, key)))
            out.append(f"end_{known[key]}: jmp finish")
    out += [".section .rodata", ".globl cases, cases_end, fx_template", ".balign 16", "cases:"]
    for case in cases:
        n = known[bytes(case.code)]
        words = [f"code_{n}", f"end_{n}", *(f"{case.regs[r]:#x}" for r in range(8)), f"{case.flags:#x}", *(value(w, n) for w in case.fill)]
        out.append(".long " + ",".join(words))
        out.append(f'.ascii "{case.prot}"')
        out.append(f".long {case.fp:#x}")
    out += ["cases_end:", ".balign 16", "fx_template:"]
    # four x87 registers in use; the others show as MMX registers
    fx = bytearray(512)
    struct.pack_into("<HHB", fx, 0, 0x37F, 0x2000, 0xF0)
    for i, (mantissa, exponent) in enumerate([(0xC000000000000000, 0x3FFF), (0x9000000000000000, 0x4000), (0xC90FDAA22168C235, 0xC000),
                                              (0xCCCCCCCCCCCCCCCD, 0x3FFB), (0x0102030405060708, 0xFFFF), (0x11, 0xFFFF),
                                              (0x8090A0B0C0D0E0F0, 0xFFFF), (0x8182838485868788, 0xFFFF)]):
        struct.pack_into("<QH", fx, 32 + 16 * i, mantissa, exponent)
    for i in range(8):
        struct.pack_into("<4f", fx, 160 + 16 * i, 1.0 + i, 0.25 * (i + 1), -3.5 - i, 1e3 + i)
    struct.pack_into("<16B", fx, 160 + 16 * 3, *(0x80 | i for i in range(16))) # a mask
    out.append(".byte " + ",".join(map(str, fx)))
    return "\n".join(out) + "\n"


def run(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=600, check=False)


def split(output):
    """Records by case: the faults in order, then the end."""
    by_case = collections.defaultdict(list)
    for at in range(0, len(output) - RECORD + 1, RECORD):
        record = output[at:at + RECORD]
        by_case[struct.unpack_from("<I", record)[0]].append(record)
    return by_case


def normal(case, record):
    """A record without what the manual leaves to the model of processor."""
    words = list(struct.unpack_from(f"<{len(WORDS)}I", record))
    if words[VECTOR] != PAGE_FAULT:
        words[CR2] = 0 # of an earlier fault
    if case.is_wide and words[VECTOR] == PAGE_FAULT:
        words[ADDRESS] = words[CR2] = words[CR2] & ~0xFFF
    if case.is_popa and words[SIGNAL]:
        words[EAX:EIP] = [0] * (EIP - EAX)
    if case.is_odd_return:
        words[EFLAGS] &= ~0x8D5
    if case.is_at_end and words[SIGNAL]:
        # Past 4 GiB: #GP and #SS by the segment's limit, or a page fault (SDM vol. 3, 5.3).
        words[SIGNAL:CR2 + 1] = [1] * (CR2 + 1 - SIGNAL)
    floating = record[4 * len(WORDS):]
    if case.is_early_mmx and (words[SIGNAL] or case.is_at_end):
        words[STATUS] = words[TAGS] = 0
        floating = floating[80:]
    return struct.pack(f"<{len(WORDS)}I", *words) + floating


def fields(record):
    named = dict(zip(WORDS, struct.unpack_from(f"<{len(WORDS)}I", record)))
    at = 4 * len(WORDS)
    for i in range(8):
        named[f"st({i})"] = int.from_bytes(record[at + 10 * i:at + 10 * i + 10], "little")
        named[f"xmm{i}"] = int.from_bytes(record[at + 80 + 16 * i:at + 96 + 16 * i], "little")
    return named


def explain(native, ours):
    if len(native) != len(ours):
        print(f"    {len(native)} records natively, {len(ours)} here")
    for number, (a, b) in enumerate(zip(native, ours)):
        if a == b:
            continue
        a, b = fields(a), fields(b)
        what = f"fault {number + 1}" if a["signal"] else "end"
        print(f"    {what}: " + ", ".join(f"{name} {a[name]:#x} natively, {b[name]:#x} here" for name in a if a[name] != b[name]))
        break


def compare(name, cases, native, ours):
    """Number of cases that differ."""
    want, got = split(native.stdout), split(ours.stdout)
    for i, case in enumerate(cases):
        want[i], got[i] = ([normal(case, record) for record in found[i]] for found in (want, got))
    bad = [i for i in range(len(cases)) if want[i] != got[i]]
    for i in bad[:SHOWN]:
        print(f"  {name}: {cases[i].text}")
        explain(want[i], got[i])
    if ours.returncode != native.returncode:
        print(f"  {name}: exit code {native.returncode} natively, {ours.returncode} here: {ours.stderr.decode(errors='replace')}")
    return len(bad) + (ours.returncode != native.returncode)


def build(cases, base):
    with open(base + ".s", "w", encoding="ascii") as out:
        out.write(assembly(cases))
    command = ["gcc", "-m32", "-nostdlib", "-static", "-no-pie", "-fno-pic", "-O1", "-ffreestanding", "-fno-stack-protector",
               "-fno-tree-loop-distribute-patterns", "-mgeneral-regs-only", "-fcf-protection=none",
               os.path.join(HERE, "faults_runner.c"), base + ".s", "-o", base]
    subprocess.run(command, check=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("--keep")
    parser.add_argument("--only", default="")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--cpu", default="sse4.2")
    args = parser.parse_args()
    vxc, vxrun = os.path.join(args.bin, "vxc"), os.path.join(args.bin, "vxrun")
    work = args.keep or tempfile.mkdtemp(prefix="vx-faults-")
    os.makedirs(work, exist_ok=True)
    if run(["gcc", "-m32", "-nostdlib", "-static", "-x", "c", "/dev/null", "-r", "-o", "/dev/null"]).returncode:
        print("skipped: gcc -m32 does not work here")
        return 77
    host = program.host_features()
    features = program.DEFAULT if args.cpu == "sse4.2" else \
        host & program.guest_features(exact.Runs(args.bin, work, args.cpu).virtual_cpu())
    cases = [case for case in fault_cases.all_cases(features) if args.only in case.text]
    base = os.path.join(work, "faults")
    build(cases, base)
    native = run([base])
    records = split(native.stdout)
    if native.returncode or any(not records[i] for i in range(len(cases))):
        print(f"the native run failed, exit {native.returncode}")
        return 1
    if args.list:
        for i, case in enumerate(cases):
            print(case.text, [(fields(r)["signal"], hex(fields(r)["cr2"])) for r in records[i]])
    faulted = sum(len(r) > 1 for r in records.values())
    restarted = sum(len(r) > 1 and fields(r[-2])["vector"] == 14 and fields(r[-1])["signal"] == 0 for r in records.values())
    print(f"{len(cases)} cases, {faulted} with a fault, {restarted} whose last fault was a page fault, "
          f"{sum(map(len, records.values()))} records")
    named = [row for row in table.rows() if row.is_memory()]
    left_out = sorted({row.name for row in named} & fault_cases.NOT_COMPARED)
    print(f"{sum(row.name not in left_out for row in named)} of {len(named)} rows with a memory operand; not compared: {', '.join(left_out)}")
    subprocess.run([vxc, "compile", "--cpu", args.cpu, "-o", base + ".vxc", base], check=True)
    bad = 0
    for name, command in (("cache", [vxrun, "--cpu", args.cpu, base + ".vxc"]), ("dynamic", [vxrun, "--cpu", args.cpu, "--no-cache", base])):
        bad += compare(name, cases, native, run(command))
    print(f"{bad} differences" if bad else "all equal")
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
