#!/usr/bin/env python3
"""Run the sequences of cases.txt natively and under vxrun, and test what finds and shrinks differences.

usage: replay.py BIN-DIR [--keep DIR]

A line of cases.txt that differs is shown as run.py shows it. Then a fault is made up (each `imul` of ours counts as wrong): run.py's
machinery must find it, shrink the sequence to the `imul` alone, and write a line that differs with the fault and agrees
without. Exits 0 if all is well, 1 if not, 77 when 32-bit programs do not build or run here.
"""
import argparse
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import program  # noqa: E402
import run  # noqa: E402
import shrink  # noqa: E402

IMUL = bytes([0x0F, 0xAF])
LONG_CASE = "12345 0 0xfffeffff - 01d0 b907000000 897310 0fafc2 f7d3 50 5a c1e305 0fb6c3 294b04"


def load(path):
    """(cases, comments) of a file: one list for each kind of page."""
    found = {False: [], True: []}
    with open(path, encoding="ascii") as file:
        for number, text in enumerate(file, 1):
            if text.strip() and not text.startswith("#"):
                case, rewriting, comment = shrink.parse(text)
                case.kind = f"line {number}: {comment}"
                found[rewriting].append(case)
    return found


def in_a_row(cases):
    """Cases written for program.CODE, as one program has them."""
    out, at = [], program.CODE
    for case in cases:
        there = shrink.moved(case, program.CODE, at)
        there.kind, there.where = case.kind, at
        out.append(there)
        at += len(there.code()) + 5
    return out


def check_shrinking(runs):
    """Problems of finding, shrinking and writing a difference that is made up."""
    case, _, _ = shrink.parse(LONG_CASE)
    runs.fault = lambda c, result: (0, 0, 0) if any(i.startswith(IMUL) for i in c.instructions) else result
    text = shrink.report(runs, case, False)
    problems = []
    if text is None:
        return ["the fault that was made up was not found"]
    small, rewriting, _ = shrink.parse(text)
    if [i for i in small.instructions if set(i) != {shrink.NOP}] != [bytes([0x0F, 0xAF, 0xC2])] or len(small.instructions) != 1:
        problems.append(f"not shrunk to its imul: {text}")
    if not shrink.differing(runs, [small], rewriting):
        problems.append("the shrunk case does not differ")
    runs.fault = None
    if shrink.differing(runs, [small], rewriting):
        problems.append("the shrunk case differs without the fault")
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bin")
    parser.add_argument("--keep")
    args = parser.parse_args()
    work = args.keep or tempfile.mkdtemp(prefix="vx-exact-")
    os.makedirs(work, exist_ok=True)
    if not run.have_native(work):
        print("skipped: programs made by gcc -m32 do not build or do not run here")
        return 77
    runs = run.Runs(args.bin, work, "sse4.2")
    bad = total = 0
    for rewriting, cases in load(os.path.join(HERE, "cases.txt")).items():
        if cases:
            cases = in_a_row(cases)
            total += len(cases)
            for i in shrink.differing(runs, cases, rewriting):
                bad += 1
                print(f"cases.txt, {cases[i].kind}: DIFFERENT")
                shrink.report(runs, cases[i], rewriting)
    print(f"{total} sequences of cases.txt, {bad} differ")
    problems = check_shrinking(runs)
    for problem in problems:
        print("shrinking:", problem)
    if not problems:
        print("a fault that was made up was found and shrunk")
    return bad != 0 or bool(problems)


if __name__ == "__main__":
    sys.exit(main())
