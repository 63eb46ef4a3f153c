#!/usr/bin/env python3
"""Compare the guest decoder with llvm-mc.

usage: decode_compare.py TEST-PROGRAM [--all]

TEST-PROGRAM --dump gives lines "bytes length mnemonic". An instruction that we know is given to llvm-mc
cut to our length: it must read it as exactly one instruction of the same name. One that we
refuse is given whole: llvm-mc must refuse it too. Differences that are meant are in
decode_allowed.txt; an entry that matches nothing is an error as well. --all prints every
difference that is not allowed, else a few of each kind.
Exits 0 when all agree, 1 on a difference, 77 when llvm-mc is missing.
"""
import collections
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BATCH = 200000
# Names in which llvm-mc says the operand size, or spells it otherwise, and ours.
SAME = {"cbw": "cwde", "cwd": "cdq", "pushfd": "pushf", "popfd": "popf", "pushal": "pusha", "pushaw": "pusha",
        "popal": "popa", "popaw": "popa", "iretd": "iret", "jcxz": "jecxz", "retf": "lret", "insw": "insd",
        "outsw": "outsd", "fcompi": "fcomip", "fucompi": "fucomip", "sgdtd": "sgdt", "sgdtw": "sgdt", "sidtd": "sidt",
        "sidtw": "sidt", "lgdtd": "lgdt", "lgdtw": "lgdt", "lidtd": "lidt", "lidtw": "lidt"}
STRINGS = re.compile(r"^(movs|cmps|stos|lods|scas)[wd]$")
PREFIXES = re.compile(r"^(?:(?:rep|repne)\s+)+(?=\S)")
COMPARE = re.compile(r"^cmp(?:eq|lt|le|unord|neq|nlt|nle|ord)(ps|pd|ss|sd)$")


def same_name(text):
    """The mnemonic of an llvm-mc line, in our spelling."""
    words = PREFIXES.sub("", text.strip()).split()
    name, operands = words[0], words[1:]
    if name in ("push", "pop") and operands and operands[0] in ("cs", "ds", "es", "fs", "gs", "ss"):
        return f"{name} {operands[0]}"
    if name == "mov" and re.search(r"\b[cd]r\d", text):
        return "mov cr" if re.search(r"\bcr\d", text) else "mov dr"
    if COMPARE.match(name):
        return "cmp" + COMPARE.match(name)[1]
    if STRINGS.match(name) and "xmm" not in text:
        return name[:-1]
    return SAME.get(name, name)


def run_llvm(cases):
    """For each byte string: (lines that llvm-mc printed, did it complain?)."""
    lines = []
    for number, code in enumerate(cases):
        lines.append("[" + " ".join(f"0x{byte:02x}" for byte in code) + "]")
        lines.append("[0xb8 " + " ".join(f"0x{byte:02x}" for byte in number.to_bytes(4, "little")) + "]")
    run = subprocess.run(["llvm-mc", "-triple=i386", "--disassemble", "--output-asm-variant=1"],
                         input="\n".join(lines) + "\n", capture_output=True, text=True, check=False)
    complaints = {int(n) for n in re.findall(r"^<stdin>:(\d+):\d+: warning", run.stderr, re.M)}
    results, pending = [], []
    for line in run.stdout.splitlines():
        line = line.strip()
        if line in ("", ".text", "xacquire", "xrelease"):  # prefixes, on a line of their own
            continue
        if line.replace("\t", " ") == f"mov eax, {len(results)}":
            results.append((pending, 2 * len(results) + 1 in complaints))
            pending = []
        else:
            pending.append(line)
    if len(results) != len(cases):
        sys.exit(f"llvm-mc answered {len(results)} of {len(cases)} cases: {run.stderr[-300:]}")
    return results


def verdict(name, printed, complained):
    """None when llvm-mc agrees, else what it says instead."""
    if name == "(bad)":
        return None if not printed else same_name(printed[0])
    if not printed:
        return "(bad)"
    if len(printed) > 1 or complained:
        return f"(shorter) {same_name(printed[0])}"
    theirs = same_name(printed[0])
    return None if theirs == name else theirs


def read_allowed(path):
    """Entries: [patterns of bytes, our name and theirs; line number; times used]."""
    allowed = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            fields = [field.strip() for field in line.partition("#")[0].split(";")]
            if fields == [""]:
                continue
            if len(fields) != 3:
                sys.exit(f"{path}:{number}: needs bytes ; ours ; llvm-mc")
            fields[0] = fields[0].replace(" ", "")
            allowed.append([[re.compile(field) for field in fields], number, 0])
    return allowed


def is_allowed(allowed, code, ours, theirs):
    for entry in allowed:
        bytes_pattern, ours_pattern, theirs_pattern = entry[0]
        if bytes_pattern.match(code) and ours_pattern.fullmatch(ours) and theirs_pattern.fullmatch(theirs):
            entry[2] += 1
            return True
    return False


def main():
    if not shutil.which("llvm-mc"):
        return 77
    dump = subprocess.run([sys.argv[1], "--dump"], capture_output=True, text=True, check=True).stdout.splitlines()
    cases = []
    for line in dump:
        code, length, name = line.split(" ", 2)
        cases.append((code, code if name == "(bad)" else code[:2 * int(length)], name))
    path = os.path.join(HERE, "decode_allowed.txt")
    allowed = read_allowed(path)
    kinds = collections.defaultdict(list)
    differences = permitted = 0
    for start in range(0, len(cases), BATCH):
        batch = cases[start:start + BATCH]
        for (code, given, name), (printed, complained) in zip(batch, run_llvm([bytes.fromhex(c[1]) for c in batch])):
            theirs = verdict(name, printed, complained)
            if theirs is None:
                continue
            if is_allowed(allowed, code, name, theirs):
                permitted += 1
                continue
            differences += 1
            kinds[name, theirs].append(given)
    for (name, theirs), codes in sorted(kinds.items()):
        shown = codes if "--all" in sys.argv else codes[:3]
        print(f"ours {name}, llvm-mc {theirs}: {len(codes)}: {', '.join(shown)}")
    unused = [entry[1] for entry in allowed if not entry[2]]
    for number in unused:
        print(f"{path}:{number}: matches nothing")
    print(f"{len(cases)} cases, {permitted} differences allowed, {differences} not")
    return 1 if differences or unused else 0


if __name__ == "__main__":
    sys.exit(main())
