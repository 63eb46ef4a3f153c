#!/usr/bin/env python3
"""Break the verifier in one place at a time: the tests must notice each time.

usage: scripts/mutants.py [--only TEXT] [--jobs N] [--sample N] [--state FILE]

Works on a copy of verifier/, so that the verifier itself has no switch. Each mutant is one change of the text:
  rule    a place that refuses does not
  row     a row of the allow-list is missing
  grant   a row of the allow-list grants one thing more (lock, the other form, an operand's registers, 66)
  test    a comparison in the code is turned round, or a bound moved by one
A mutant is killed by test_verifier_golden, test_verifier or test_verifier_exhaustive --first. Prints one line a
mutant that survives, and the matrix: kind, mutants, killed by which test. --sample N: N mutants spread over all. --state FILE keeps
what each mutant met, by its text and the line's: a second run does only what is new. --rows prints each row or rule with its killers.
Exit status: 0 no survivor but those that docs/security.md proves equivalent (EQUIVALENT below), 1 survivors, 2 usage.
"""
import argparse
import collections
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TESTS = ["test_verifier_golden", "test_verifier", "test_verifier_exhaustive"]
FLAGS = ["-std=gnu11", "-O1", "-D_GNU_SOURCE", "-w", "-I."]
# Mutants that are the same program, or differ only in what nobody can see: (file, the changed line): why.
EQUIVALENT = {
    ("decode.h", "return (struct insn){VXV_OK, load ? VXV_OK : VXV_REGISTER_FORM | VXV_STOP, 4};"):
        "verify.c looks at VXV_TARGET, VXV_STOP and the CPU bits of an accepted form, never at VXV_REGISTER_FORM",
    ("decode.h", "asked |= vvvv == 0 ? VXV_OK : VXV_VEX_X;"):
        "the form has VXV_VEX_NONE on this path, so asking for it cannot fail",
    ("decode.h", "asked |= vvvv < (form & VXV_VEX_M_NONE && ask & VXV_MEMORY_FORM ? 1 : 8) ? VXV_OK : VXV_VEX_G;"):
        "the form has VXV_VEX_X on this path, so asking for it cannot fail",
    ("decode.h", "asked |= VXV_RESERVED_REGISTERS >> vvvv & 1 ? VXV_VEX_X : VXV_OK;"):
        "a form without NONE and X is 0, which is refused, or has G: each row of vex_table.c has one of the three",
    ("sequence.c", "bool memory = length >= 2 && p[0] == 0x65;"):
        "no accepted instruction of two bytes starts with 65; one that did would have 0 bytes left and be refused in the next lines",
    ("verify.c", "if (left <= LOOK_AHEAD) {"): "LOOK_AHEAD bytes are copied whole, and read from the copy",
}

REFUSALS = [
    (re.compile(r"\breturn refuse\((.*)\);"), "(void)0;"),
    (re.compile(r"\breturn (VXV_(?!OK\b)[A-Z_]+);"), "(void)0;"),
    (re.compile(r"\brule = (VXV_(?!OK\b)[A-Z_]+);"), "rule = VXV_OK;"),
    (re.compile(r"\? (VXV_(?!OK\b|LISTED\b)[A-Z_]+) :"), "? VXV_OK :"),
    (re.compile(r": (VXV_(?!OK\b)[A-Z_]+);"), ": VXV_OK;"),
]
GRANTS = [
    (re.compile(r"(INSN\([^)]*, (?:RM|M), )n(, )"), r"\1L\2"),
    (re.compile(r"(INSN\([^)]*, )M(, [nL], )"), r"\1RM\2"),
    (re.compile(r"(INSN\([^)]*, )R(, [nL], )"), r"\1RM\2"),
    (re.compile(r"(INSN\(M0, )NP(, )"), r"\1OS\2"),
    (re.compile(r"(INSN\(M\d, \w+, [^,]+, )X(, )"), r"\1GV\2"),
    (re.compile(r"(INSN\(M\d, \w+, [^,]+, \w+, )X(, )"), r"\1GV\2"),
    (re.compile(r"(INSN\(M\d, \w+, [^,]+, )N(, )"), r"\1GV\2"),
    (re.compile(r"(INSN\(M\d, \w+, [^,]+, )GV(, )"), r"\1G8\2"),
    (re.compile(r"(INSN\(M\d, \w+, [^,]+, \w+, )GV(, )"), r"\1G8\2"),
    (re.compile(r"(VEX\(M\d, \w+, )0(, )"), r"\1b\2"),
    (re.compile(r"(VEX\(M\d, \w+, \w, [^,]+, )0(, )"), r"\1b\2"),
    (re.compile(r"(VEX\(M\d, \w+, \w, [^,]+, \w, )n(, )"), r"\1X\2"),
    (re.compile(r"(VEX\(M\d, \w+, \w, [^,]+, \w, )G(, )"), r"\1X\2"),
    (re.compile(r"(VEX\(M\d, \w+, \w, [^,]+, \w, \w, )X(, )"), r"\1GV\2"),
    (re.compile(r"(VEX\(M\d, \w+, \w, [^,]+, \w, \w, \w+, )X(, )"), r"\1GV\2"),
    (re.compile(r"(VEX\(M\d, \w+, \w, [^,]+, \w, \w, \w+, \w+, )[MR](, )"), r"\1RM\2"),
    (re.compile(r"(VEX\(M\d, \w+, \w, [^,]+, \w, \w, \w+, \w+, \w+, )R(, )"), r"\1B\2"),
    (re.compile(r"((?:INTEGER|PACKED)\([^)]*, )n(, RM)"), r"\1X\2"),
    (re.compile(r"((?:INTEGER|PACKED)\([^)]*, )M(, [0BR])"), r"\1RM\2"),
    (re.compile(r"((?:PACKED)\()0(, )"), r"\1b\2"),
]
CONDITIONS = [(" == ", " != "), (" < ", " <= "), (" > ", " >= "), (" <= ", " < "), (" >= ", " > "), (" && ", " || ")]


def mutants():
    """(kind, file, line number, new line)"""
    for path in sorted(glob.glob(os.path.join(ROOT, "verifier", "*.[ch]"))):
        name = os.path.basename(path)
        with open(path, encoding="ascii") as source:
            lines = source.read().split("\n")
        in_comment = False
        for number, line in enumerate(lines):
            code = line.split("/*")[0]
            was_comment, in_comment = in_comment, ("/*" in line or in_comment) and "*/" not in line
            if was_comment or not code.strip() or code.lstrip().startswith("#"):
                continue
            if name.endswith("table.c") and re.match(r"\s+(INSN|BARE|PLUS|DIGIT|FLOW|ALU|VEX|INTEGER|PACKED|SCALAR|FMA|AT_[01b])\(", code):
                yield "row", name, number, ""
                for pattern, replacement in GRANTS:
                    changed = pattern.sub(replacement, line, count=1)
                    if changed != line:
                        yield "grant", name, number, changed
                continue
            if name in ("decode.h", "sequence.c", "verify.c", "modrm.c"):
                for pattern, replacement in REFUSALS:
                    changed = pattern.sub(replacement, line, count=1)
                    if changed != line:
                        yield "rule", name, number, changed
                for old, new in CONDITIONS:
                    if old in code and "for (" not in code:
                        yield "test", name, number, line.replace(old, new, 1)


def source_line(file, number):
    """That line of the verifier as it is, without what surrounds it."""
    with open(os.path.join(ROOT, "verifier", file), encoding="ascii") as source:
        return source.read().split("\n")[number].strip()


def run(command, **options):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, **options).returncode


class Bench:
    """Objects of everything but the verifier, made once."""

    def __init__(self, folder):
        self.folder = folder
        self.objects = []
        for source in sorted(glob.glob(os.path.join(ROOT, "format", "*.c"))):
            self.objects.append(self.compile(source, "format-" + os.path.basename(source) + ".o"))
        self.tests = {}
        for test in TESTS:
            define = [f'-DSOURCE_DIR="{ROOT}"', f'-DBINARY_DIR="{folder}"']
            if test == "test_verifier_exhaustive":
                define.append("-DVX_HAVE_ZYDIS=1")
            self.tests[test] = self.compile(os.path.join(ROOT, "tests", test + ".c"), test + ".o", *define)
        self.arguments = {TESTS[0]: [folder], TESTS[1]: [], TESTS[2]: ["--first"]}
        # Those that a header does not change much: most mutants are in tables and one or two files.
        self.alone = {"table.c", "cpu.c", "rules.c"}
        for path in glob.glob(os.path.join(ROOT, "verifier", "*.c")):
            self.build(path, os.path.join(folder, "verifier-" + os.path.basename(path) + ".o"), ROOT)

    def compile(self, source, name, *options):
        target = os.path.join(self.folder, name)
        subprocess.run(["gcc", *FLAGS, *options, "-c", source, "-o", target], check=True, cwd=ROOT)
        return target

    def build(self, path, target, include):
        """Optimized where it runs, not where it is only a table."""
        level = ["-O0"] if path.endswith("table.c") else []
        return run(["gcc", *FLAGS, *level, f"-I{include}", f"-I{ROOT}", "-c", path, "-o", target], cwd=include)

    def killer(self, kind, file, number, changed):
        """The test that fails, "compiler" if it does not build, None if it survives."""
        with tempfile.TemporaryDirectory(dir=self.folder) as work:
            os.mkdir(os.path.join(work, "verifier"))
            for path in glob.glob(os.path.join(ROOT, "verifier", "*.[ch]")):
                with open(path, encoding="ascii") as source:
                    lines = source.read().split("\n")
                if os.path.basename(path) == file:
                    lines[number] = changed
                with open(os.path.join(work, "verifier", os.path.basename(path)), "w", encoding="ascii") as out:
                    out.write("\n".join(lines))
            objects = []
            for path in sorted(glob.glob(os.path.join(work, "verifier", "*.c"))):
                name = os.path.basename(path)
                target = os.path.join(self.folder, "verifier-" + name + ".o")
                if file == name or (file.endswith(".h") and name not in self.alone):
                    target = path[:-2] + ".o"
                    if self.build(path, target, work):
                        return "compiler"
                objects.append(target)
            for test in [TESTS[0], TESTS[2], TESTS[1]] if kind in ("row", "grant") else TESTS:
                program = os.path.join(work, test)
                subprocess.run(["gcc", self.tests[test], *objects, *self.objects, "-lcunit", "-lz", "-lxxhash", "-ldl",
                                "-lpthread", "-o", program], check=True)
                try:
                    if run([program, *self.arguments[test]], timeout=300):
                        return test
                except subprocess.TimeoutExpired:
                    return test
        return None


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1][7:])
    parser.add_argument("--only", default="")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--state", default="")
    parser.add_argument("--rows", action="store_true")
    options = parser.parse_args()
    todo = [m for m in mutants() if options.only in " ".join(map(str, m))]
    if options.sample and options.sample < len(todo):
        todo = [todo[i * len(todo) // options.sample] for i in range(options.sample)]
    known = {}
    if options.state and os.path.exists(options.state):
        with open(options.state, encoding="ascii") as state:
            known = dict(line.rstrip("\n").split("\t") for line in state)
    matrix, rows, survivors = collections.Counter(), collections.defaultdict(list), 0
    with tempfile.TemporaryDirectory(prefix="vx-mutants-") as folder:
        bench = Bench(folder)
        if bench.killer("row", "table.c", 0, "/*"):
            sys.exit("the tests fail without any mutation")
        lock = threading.Lock()

        def met(mutant):
            kind, file, number, changed = mutant
            key = f"{kind} {file} {source_line(file, number)} -> {changed.strip()}"
            if key not in known:
                test = bench.killer(kind, file, number, changed) or "survived"
                with lock:
                    known[key] = test
                    if options.state:
                        with open(options.state, "a", encoding="ascii") as state:
                            state.write(f"{key}\t{test}\n")
            return known[key]

        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for mutant, test in zip(todo, pool.map(met, todo)):
                kind, file, number, changed = mutant
                if test == "survived" and (file, changed.strip()) in EQUIVALENT:
                    test = "equivalent"
                matrix[kind, test] += 1
                rows[f"verifier/{file}:{number + 1}: {source_line(file, number)}"].append(f"{kind}: {test}")
                if test == "survived":
                    survivors += 1
                    print(f"survived: {kind}: verifier/{file}:{number + 1}: {changed.strip() or source_line(file, number)}", flush=True)
    if options.rows:
        for row, tests in rows.items():
            print(f"{row}  [{', '.join(tests)}]")
    for (kind, test), count in sorted(matrix.items()):
        print(f"{kind:6} {test:25} {count}")
    print(f"{len(todo)} mutants, {survivors} survivors")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
