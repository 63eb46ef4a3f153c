#!/usr/bin/env python3
"""Break the verifier in one place at a time: the tests must notice each time.

usage: scripts/mutants.py [--only TEXT] [--jobs N] [--sample N] [--state FILE] [--rows]

Works on a copy of verifier/, so that the verifier itself has no switch. Each mutant is one change of the text:
  rule    a place that refuses does not
  row     a row of the allow-list is missing
  grant   a row grants one thing more (lock, the other form, an operand's registers, 66, VEX.W, VEX.L, the next /digit or byte of x87)
  column  a row without its CPU feature (or with another), with a wrong immediate, without gs, as a branch that nobody checks
  test    a comparison in the code is turned round, or a bound moved by one
A mutant is killed by test_verifier_golden, test_verifier or test_verifier_exhaustive --first. Prints one line a
mutant that survives, and the matrix: kind, mutants, killed by which test. --sample N: N mutants spread over all, as in CTest. --state FILE keeps
what each mutant met, by its text and the line's: a second run does only what is new. --rows prints each row or rule with its killers.
Exit status: 0 no survivor but those that are the same program (EQUIVALENT below), 1 survivors, 2 usage, 77 no gcc or no Zydis.
"""
import argparse
import collections
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# With the seconds of processor time that each may take: many times what it needs. A mutant that does not end is killed as well.
TESTS = {"test_verifier_golden": 5, "test_verifier": 30, "test_verifier_exhaustive": 200}
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
    ("table.c", "const uint32_t vxv_escape_row = PACK(i, n, RM, n, 0, BASE, o);"): "this row is looked at for mod = 3 alone (group_row)",
    ("vex_table.c", "VEX(map, pp, b, op, 0, v, X, X, form, imm, AVX, o),        \\"): "the row for VEX.L = 1 comes after it and replaces it",
    ("vex_table.c", "VEX(M1, 66, b, 0xd7, 0, n, GV, X, R, 0, AVX, o),  /* vpmovmskb */"): "likewise",
    ("verify.c", "input->zone_offset % 64 == 0 && input->zone_offset < input->zone_size &&"):
        "if they are equal, the next line asks for size <= 0, and size is 1 at least",
    ("verify.c", "if (left <= LOOK_AHEAD) {"): "LOOK_AHEAD bytes are copied whole, and read from the copy",
}

REFUSALS = [
    (re.compile(r"\breturn refuse\((.*)\);"), "(void)0;"),
    (re.compile(r"\breturn (VXV_(?!OK\b)[A-Z_]+);"), "(void)0;"),
    (re.compile(r"\brule = (VXV_(?!OK\b)[A-Z_]+);"), "rule = VXV_OK;"),
    (re.compile(r"\? (VXV_(?!OK\b|LISTED\b)[A-Z_]+) :"), "? VXV_OK :"),
    (re.compile(r": (VXV_(?!OK\b)[A-Z_]+);"), ": VXV_OK;"),
]
# The macros of the two tables, with their columns; PACK is another in each.
COLUMNS = {
    "INSN": "map pfx op reg rm form lock imm cpu impl", "BARE": "map pfx op imm cpu impl", "PLUS": "map pfx op rm imm impl",
    "ROW": "digit rm form lock imm cpu impl", "FLOW": "map op bits", "DIGIT": "map pfx op group", "ALU": "op lock", "BYTES": "bytes bytes",
    "VEX": "map pp l op w v reg rm form imm cpu impl", "INTEGER": "map pp op v form imm", "PACKED": "l op v form imm",
    "SCALAR": "op v form imm", "FMA": "op", "SHIFT": "group digit", "ROW_0": "group digit form", "ROW_1": "group digit form",
    "AT_0": "map pp op form", "AT_1": "map pp op form", "AT_b": "map pp op form",
    "PACK table.c": "reg rm form lock imm cpu impl", "PACK vex_table.c": "w v reg rm form imm cpu impl",
}
CALL = re.compile(r"\b(" + "|".join(sorted({name.split()[0] for name in COLUMNS}, key=len, reverse=True)) + r")\(")
BYTE_BY_BYTE = re.compile(r"\s*\[VXV_(?:D[89A-F]|0FAE)\]")  # groups whose register forms are in vxv_escapes
# What a cell becomes. A prefix that is not mandatory may come before the opcodes of the one-byte map only.
GRANTS = {
    "reg": {"X": "GV", "N": "GV", "i": "GV", "GV": "G8", "G8": "GV"}, "rm": {"X": "GV", "N": "GV", "n": "GV", "GV": "G8", "G8": "GV"},
    "form": {"M": "RM", "R": "RM", "A": "RM"}, "lock": {"n": "L"}, "pfx": {"NP": "OS", "F2": "F2o", "F3": "F3o"},
    "l": {"0": "b", "1": "b"}, "w": {"0": "b", "1": "b"}, "v": {"n": "X", "G": "X", "X": "G"},
}
CHANGES = {
    "imm": {"0": "B", "B": "0", "Z": "B", "R": "B"},
    "bits": {"REL8": "VXV_IMM1", "REL32": "VXV_IMMZ"},
}
FEATURES = "SSE3 SSSE3 SSE41 SSE42 POPCNT LAHF CX8 LZCNT BMI1 BMI2 MOVBE AES PCLMULQDQ SHA ADX RDRAND RDSEED TSC AVX AVX2 FMA F16C CLMUL".split()
CONDITIONS = [(" == ", " != "), (" < ", " <= "), (" > ", " >= "), (" <= ", " < "), (" >= ", " > "), (" && ", " || ")]


def calls(line):
    """(name, start, end, arguments) for each macro of the tables in a line, those within another one too."""
    for match in CALL.finditer(line):
        depth, end = 1, match.end()
        while depth and end < len(line):
            depth += {"(": 1, ")": -1}.get(line[end], 0)
            end += 1
        yield match[1], match.start(), end, line[match.end():end - 1].split(", ")


def without(name, line, start, end, previous):
    """The line without that call, so that it still compiles: commas, macros of several lines."""
    if name == "BYTES":
        return line[:start] + "0ull" + line[end:]
    if line[end:].startswith(","):
        rest = line[:start] + line[end + 1:]
        return rest if rest.split("/*")[0].strip() else "\\" if line.endswith("\\") else ""
    if line[:start].rstrip().endswith(","):
        return line[:start].rstrip()[:-1] + line[end:]
    if previous.endswith("\\") and previous.split("/*")[0].rstrip("\\ ").endswith(","):  # an element that has no row
        return {"VEX": "[M1][0][0][0] = 0u", "ROW_1": "[VXV_VEX_0F71][0][0] = 0u"}.get(name, "[M1][0][0] = 0u")
    return line[:start] + line[end:]


def wider(name, arguments, block):
    """Arguments of ROW, SHIFT and BYTES with one more at either end of a range, if no other row of the group has it."""
    at = 1 if name == "SHIFT" else 0
    if name == "BYTES":
        taken = [range(int(a, 16), int(b, 16) + 1) for a, b in re.findall(r"BYTES\((\w+), (\w+)\)", block)]
        first, last, low, high, form = int(arguments[0], 16), int(arguments[1], 16), 0xc0, 0xff, "0x{:02x}, 0x{:02x}"
    elif name in ("ROW", "SHIFT") and arguments[at][0].isdigit():
        if name == "SHIFT":
            taken = [range(int(n), int(n) + 1) for n in re.findall(rf"SHIFT\({arguments[0]}, (\d)\)", block)]
        else:
            taken = [range(int(a), int(b or a) + 1) for a, b in re.findall(r"ROW\((\d)(?: \.\.\. (\d))?", block)]
        first, last, low, high, form = int(arguments[at][0]), int(arguments[at][-1]), 0, 7, "{} ... {}"
    else:
        return
    for a, b, more in ((first - 1, last, first - 1), (first, last + 1, last + 1)):
        if low <= more <= high and not any(more in span for span in taken):
            text = form.format(a, b)
            yield text.split(", ") if name == "BYTES" else arguments[:at] + [text] + arguments[at + 1:]


def row_mutants(file, line, previous, block):
    """(kind, new line) for one line of a table; block: the text of its group."""
    code = line.split("/*")[0]
    for name, start, end, arguments in calls(code):
        columns = COLUMNS[f"PACK {file}" if name == "PACK" else name].split()
        form = dict(zip(columns, arguments)).get("form", "")
        if name != "PACK":
            yield "row", without(name, line, start, end, previous)

        def cell(index, value):
            return line[:start] + name + "(" + ", ".join(arguments[:index] + [value] + arguments[index + 1:]) + ")" + line[end:]

        for index, (column, value) in enumerate(zip(columns, arguments)):
            if column == "rm" and form in ("M", "A"):
                continue  # the same program: only ModRM with mod = 3 asks for what rm grants
            if column == "form" and name == "ROW" and BYTE_BY_BYTE.match(block):
                continue  # the same program: group_row() in decode.h does not look at these rows for mod = 3
            if value in GRANTS.get(column, {}) and (column != "pfx" or value != "NP" or arguments[0] == "M0") and \
                    (column != "lock" or "M" in form or name == "ALU"):
                yield "grant", cell(index, "X" if value == "GV" and file == "vex_table.c" else GRANTS[column][value])
            if value.split(" | ")[-1] in CHANGES.get(column, {}):
                yield "column", cell(index, value.replace(value.split(" | ")[-1], CHANGES[column][value.split(" | ")[-1]]))
            if column == "bits" and "REL" in value and "STOP" not in value:
                yield "column", cell(index, "VXV_STOP | " + value)
            if column == "bits" and "VXV_ADDR32 | " in value:
                yield "column", cell(index, value.replace("VXV_ADDR32 | ", ""))
            if column == "cpu" and value in FEATURES:
                yield "column", cell(index, "BASE" if file == "table.c" else "BMI1" if value == "AVX" else "AVX")
            if column == "form" and value in ("M", "RM") and file == "table.c":
                yield "column", line[:end] + " | VXV_ADDRESS" + line[end:]
        for arguments_of_wider in wider(name, arguments, block):
            yield "grant", line[:start] + name + "(" + ", ".join(arguments_of_wider) + ")" + line[end:]
    for match in re.finditer(r" \| VXV_VEX_[A-Z0-9_]+", code):
        yield "column", line[:match.start()] + line[match.end():]


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
            if name.endswith("table.c"):
                starts = [i for i in range(number + 1) if re.match(r"    \[VXV_|const", lines[i])] or [number]
                stops = [i for i in range(number + 1, len(lines)) if re.match(r"    \[VXV_|};", lines[i])] or [number + 1]
                for kind, changed in row_mutants(name, line, lines[number - 1], "\n".join(lines[starts[-1]:stops[0]])):
                    yield kind, name, number, changed
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
    """That line of the verifier as it is, without what surrounds it; with a number if it is there more than once."""
    with open(os.path.join(ROOT, "verifier", file), encoding="ascii") as source:
        lines = [line.strip() for line in source.read().split("\n")]
    before = lines[:number].count(lines[number])
    return lines[number] + (f" (#{before + 1})" if before else "")


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
        self.arguments = {"test_verifier_golden": [folder], "test_verifier": [], "test_verifier_exhaustive": ["--first"]}
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

    def killer(self, file, number, changed, tests):
        """The first of the tests that fails, "compiler" if it does not build, None if it survives."""
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
                if name == (file if file.endswith(".c") else "verify.c"):  # decode.h is the only header, and only there
                    target = path[:-2] + ".o"
                    if self.build(path, target, work):
                        return "compiler"
                objects.append(target)
            for test in tests:
                program = os.path.join(work, test)
                subprocess.run(["gcc", self.tests[test], *objects, *self.objects, "-lcunit", "-lz", "-lxxhash", "-ldl",
                                "-lpthread", "-o", program], check=True)
                if run(["prlimit", f"--cpu={TESTS[test]}", program, *self.arguments[test]]):
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
    if run(["gcc", "-E", "-include", "Zydis/Zydis.h", "-x", "c", "/dev/null"]) if shutil.which("gcc") else True:
        print("skipped: gcc or the headers of Zydis are not installed")
        return 77
    known = {}
    if options.state and os.path.exists(options.state):
        with open(options.state, encoding="ascii") as state:
            known = dict(line.rstrip("\n").split("\t") for line in state)
    matrix, rows, survivors = collections.Counter(), collections.defaultdict(list), 0
    with tempfile.TemporaryDirectory(prefix="vx-mutants-") as folder:
        bench = Bench(folder)
        if bench.killer("table.c", 0, "/*", list(TESTS)[:2] if options.sample else TESTS):
            sys.exit("the tests fail without any mutation")
        lock = threading.Lock()

        def met(mutant):
            kind, file, number, changed = mutant
            key = f"{kind} {file} {source_line(file, number)} -> {changed.strip()}"
            if options.sample and (file, changed.strip()) in EQUIVALENT:
                return "survived"
            if key not in known:
                # Tables by the exhaustive test first, whose beginning takes a moment and sees nearly all of them.
                test = bench.killer(file, number, changed, reversed(TESTS) if file.endswith("table.c") else TESTS) or "survived"
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
