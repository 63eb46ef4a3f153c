#!/usr/bin/env python3
"""Compare random instruction sequences under vxrun with the processor itself.

usage: run.py BIN-DIR [--seed N] [--programs N] [--cases N] [--keep DIR] [--coverage FILE] [--check-coverage] [--cpu NAME]

Each program (program.py) has many cases: an instruction in one of its forms among others, or a block of jumps, calls and
stack games, from random registers, flags, x87, SSE and memory. Natively, from a cache and translated at run time it must do the same:
registers, flags, floating-point state, memory, and traps with their address and error code. Programs have
seeds one after another; the last quarter of them writes code (block REWRITING).

A difference is shrunk, shown with the state that differs, and written as a line for tests/exact/cases.txt. --coverage
lists each row and form with its number of executions; --check-coverage fails if a form never ran.
Exits 0 when all agree, 1 on a difference, 77 when gcc -m32 is missing or the kernel refuses its programs.
"""
import argparse
import collections
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import program  # noqa: E402
import shrink  # noqa: E402

SHOWN = 8 # differences
MANY = 50 # differences, that are not looked at one by one
LONG = 300 # seconds that a program may take


class Runs:
    """How a program is run: natively and our ways. fault(case, result): a wrong result of ours instead, to test shrink.py."""

    def __init__(self, bin_dir, work, cpu, fault=None):
        self.vxc, self.vxrun = os.path.join(bin_dir, "vxc"), os.path.join(bin_dir, "vxrun")
        self.work, self.cpu, self.fault, self.has_avx = work, cpu, fault, False

    def commands(self, base):
        run_it = [self.vxrun, "--cpu", self.cpu]
        return (("cache", [*run_it, base + ".vxc"]), ("dynamic", [*run_it, "--no-cache", base]))

    def compile(self, base):
        subprocess.run([self.vxc, "compile", "--cpu", self.cpu, "-o", base + ".vxc", base], check=True)

    def virtual_cpu(self):
        """What --cpu stands for here: sse4.2+lzcnt..."""
        base = os.path.join(self.work, "none")
        program.link([], base, self.work)
        self.compile(base)
        text = subprocess.run([self.vxc, "info", base + ".vxc"], stdout=subprocess.PIPE, check=True, text=True).stdout
        return re.search(r"virtual cpu +(\S+)", text).group(1)


def run(command, seconds=10):
    """Output of a command; a program that does not end has what it wrote by then."""
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=seconds, check=False)
    except subprocess.TimeoutExpired as late:
        return subprocess.CompletedProcess(command, -1, late.stdout or b"", b"does not end")


def have_native(work):
    """Do 32-bit programs build and run here?"""
    try:
        base = os.path.join(work, "none")
        program.link([], base, work)
        return run([base]).returncode == 0
    except (OSError, subprocess.CalledProcessError):
        return False


def reached(case, result):
    """Did the variant's instruction run (or raise the trap)?"""
    traps, eip = result[2] & 0xFF, result[2] >> 16
    return not traps or case.options & program.STEP or eip >= case.offset()


def one_program(runs, supply, seed, count, counted, rewriting, alone=None):
    """Number of cases that differ."""
    base = os.path.join(runs.work, "exact")
    cases = program.make_cases(supply, seed, count, rewriting, alone)
    program.link(cases, base, runs.work, supply.has_avx, writable=rewriting)
    native = run([base], LONG)
    expected = program.results(native.stdout)
    if native.returncode or len(expected) != count:
        print(f"seed {seed}: the native run ended with {native.returncode} after case {len(expected)}")
        return 1
    for case, result in zip(cases, expected):
        if case.variant is None:
            counted[case.kind] += 1
        elif reached(case, result):
            counted[case.variant] += 1
    runs.compile(base)
    bad = set()
    for name, command in runs.commands(base):
        ours = run(command, LONG)
        got = program.results(ours.stdout)
        different = [i for i in range(count) if i >= len(got) or got[i] != expected[i]]
        if ours.returncode or len(got) != count:
            print(f"seed {seed}, {name}: exit {ours.returncode} after case {len(got)}: {ours.stderr.decode(errors='replace')[:300]}")
            different = different[:1]
        if len(different) <= MANY:
            different = [i for i in different if not shrink.is_excused(run([base, str(i)]).stdout, run([*command, str(i)]).stdout)]
        for i in sorted(set(different) - bad)[:SHOWN]:
            print(f"seed {seed}, {name}, case {i}: DIFFERENT")
            shrink.report(runs, cases[i], rewriting)
        bad.update(different)
    return len(bad)


def print_coverage(supply, counted, file):
    rows = {}
    for variant in supply.variants:
        rows.setdefault(id(variant.row), []).append(variant)
    for forms in rows.values():
        for variant in forms:
            file.write(f"{counted[variant]:8} {variant.text()}\n")
    for kind in program.blocks.BLOCKS + program.blocks.REWRITING:
        file.write(f"{counted[kind.__name__]:8} block {kind.__name__}\n")
    for reason, left in supply.left_out.items():
        for row in left:
            file.write(f"       - {row.name} {','.join(row.operands)}: {reason}\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--programs", type=int, default=4)
    parser.add_argument("--cases", type=int, default=20000)
    parser.add_argument("--keep")
    parser.add_argument("--coverage")
    parser.add_argument("--cpu", default="sse4.2", choices=("sse4.2", "host"))
    parser.add_argument("--check-coverage", action="store_true")
    args = parser.parse_args()
    work = args.keep or tempfile.mkdtemp(prefix="vx-exact-")
    os.makedirs(work, exist_ok=True)
    if not have_native(work):
        print("skipped: programs made by gcc -m32 do not build or do not run here")
        return 77
    runs = Runs(args.bin, work, args.cpu)
    supply = program.Supply(program.host_features(), program.guest_features(runs.virtual_cpu()))
    runs.has_avx = supply.has_avx
    counted = collections.Counter()
    started, bad = time.monotonic(), 0
    for n in range(args.programs):
        seed = args.seed + n
        rewriting = n % 4 == 3
        bad += one_program(runs, supply, seed, args.cases // (4 if rewriting else 1), counted, rewriting)
    missed = [v for v in supply.variants if not counted[v]]
    if args.check_coverage and missed: # their turn did not come, or something before them trapped
        bad += one_program(runs, supply, args.seed, 2 * len(missed), counted, False, missed)
    total = sum(counted.values())
    seconds = time.monotonic() - started
    missed = [v for v in supply.variants if not counted[v]]
    print(f"seeds {args.seed} to {args.seed + args.programs - 1}: {args.programs} programs, {total} sequences executed in {seconds:.0f} s "
          f"({total / seconds:.0f}/s), {bad} differ")
    print(f"{len(supply.variants) - len(missed)} of {len(supply.variants)} forms of "
          f"{len({id(v.row) for v in supply.variants})} rows executed; without an oracle here: "
          + "; ".join(f"{', '.join(sorted({r.name for r in rows}))} ({reason})" for reason, rows in supply.left_out.items()))
    if args.coverage:
        with open(args.coverage, "w", encoding="ascii") as out:
            print_coverage(supply, counted, out)
    if args.check_coverage and missed:
        for variant in missed[:20]:
            print("never executed:", variant.text())
        bad += 1
    return bad != 0


if __name__ == "__main__":
    sys.exit(main())
