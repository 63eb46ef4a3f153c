#!/usr/bin/env python3
"""Zydis and llvm-objdump on every instruction that the exhaustive test saw accepted: same length, same mnemonic.

usage: exhaustive_llvm.py TEST-VERIFIER-EXHAUSTIVE [--part]

The test's --write gives lines "hex mnemonic", cut where the verifier and Zydis agree that the instruction ends. llvm-objdump must read
each as exactly one instruction; names that the two only spell differently are in SAME and in plain().
--part: some of the REX prefixes, and of those every eighth instruction and at least one of each mnemonic.
Prints counts. Exit status: 0 they agree, 1 a difference (20 are printed), 77 no llvm-objdump or no Zydis.
"""
import collections
import os
import re
import subprocess
import sys
import tempfile

import llvm_text

BATCH = 100000
CONDITION = re.compile(r"^(j|set|cmov)(ae|e|ne|a|ge|g)$")
CONDITIONS = {"ae": "nb", "e": "z", "ne": "nz", "a": "nbe", "ge": "nl", "g": "nle"}
SAME = {"wait": "fwait", "fucompi": "fucomip", "fcompi": "fcomip"}
COMPARE = re.compile(r"^(v?cmp)[a-z_]*?(ps|pd|ss|sd)$")


def plain(text):
    """The mnemonic of a line of llvm-objdump, as Zydis spells it."""
    words = text.split()
    name = words[1] if words[0] == "lock" and len(words) > 1 else words[0]
    if COMPARE.match(name):
        return COMPARE.match(name)[1] + COMPARE.match(name)[2]
    condition = CONDITION.match(name)
    if condition:
        return condition[1] + CONDITIONS[condition[2]]
    return SAME.get(name, name)


def main():
    part = sys.argv[2:] == ["--part"]
    if len(sys.argv) != 2 and not part:
        sys.exit(__doc__.split("\n\n")[1])
    if not llvm_text.tool():
        print("skipped: llvm-objdump is not installed")
        return 77
    with tempfile.TemporaryDirectory(prefix="vx-exhaustive-") as folder:
        path = os.path.join(folder, "accepted")
        if subprocess.run([sys.argv[1], "--write-part" if part else "--write", path], stdout=subprocess.DEVNULL, check=False).returncode:
            print("the exhaustive test failed")
            return 1
        if not os.path.exists(path) or not os.path.getsize(path):
            print("skipped: no Zydis")
            return 77
        with open(path, encoding="ascii") as lines:
            cases = sorted(set(lines))
    if part:
        cases = sorted(set(cases[::8]) | set({line.split()[1]: line for line in cases}.values()))
    names, differences = set(), collections.Counter()
    for first in range(0, len(cases), BATCH):
        batch = [line.split() for line in cases[first:first + BATCH]]
        for (code, name), listed in zip(batch, llvm_text.instructions([bytes.fromhex(code) for code, _ in batch])):
            names.add(name)
            ours = len(code) // 2
            if len(listed) != 1 or listed[0][0] != ours:
                kind = f"length: Zydis {ours} {name}, llvm {listed[0][0]} {listed[0][1].split()[0]}"
            elif plain(listed[0][1]) != name:
                kind = f"mnemonic: Zydis {name}, llvm {plain(listed[0][1])}"
            else:
                continue
            differences[kind] += 1
            if differences[kind] == 1 and len(differences) <= 60:
                print(f"{kind}: {code} {listed[0][1]}")
    print(f"{len(cases)} accepted instructions of {len(names)} mnemonics: "
          f"{sum(differences.values())} differences of {len(differences)} kinds")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
