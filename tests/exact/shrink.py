"""The shortest case that still differs, shown with the state that differs and as a line for cases.txt.

A case is a line: seed, options, EFLAGS mask, w (page executable) or -, and its instructions in hexadecimal. Code runs
at program.CODE, so a line means the same program for ever.
"""
import os
import re
import struct

import program

WORDS = ["signal", "code", "address", "vector", "error", "cr2", "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip", "eflags",
         "control", "status", "tags", "mxcsr", "es", "ds", "fs", "gs"]
RECORD = 4 * len(WORDS) + 80 + 128 + 128
NOP = 0x90
SEGV_ACCERR = 2


def line(case, rewriting):
    return f"{case.seed} {case.options} {case.flags:#x} {'w' if rewriting else '-'} " + " ".join(i.hex() for i in case.instructions)


def parse(text):
    """(case, rewriting, comment) of a line."""
    words, _, comment = text.partition("#")
    seed, options, flags, kind, *codes = words.split()
    return program.Case(int(seed), [bytes.fromhex(c) for c in codes], int(options), int(flags, 0)), kind == "w", comment.strip()


def moved(case, where, to=program.CODE):
    """The case made for `where` at another place: absolute addresses inside its code are moved along."""
    if where == to:
        return case
    size = len(case.code())
    codes = []
    for code in case.instructions:
        code = bytearray(code)
        for at in range(len(code) - 3):
            value = struct.unpack_from("<I", code, at)[0]
            if where <= value <= where + size:
                struct.pack_into("<I", code, at, value - where + to)
        codes.append(bytes(code))
    return program.Case(case.seed, codes, case.options, case.flags)


def outputs(runs, cases, rewriting, name="shrink"):
    """Native results and those of the ways we run, of a program of these cases."""
    import run # the program that uses this module
    base = os.path.join(runs.work, name)
    program.link(cases, base, runs.work, runs.has_avx, writable=rewriting)
    runs.compile(base)
    native = program.results(run.run([base], 3).stdout)
    ours = []
    for _, command in runs.commands(base):
        got = program.results(run.run(command, 3).stdout)
        if runs.fault is not None and got:
            got = [runs.fault(case, result) for case, result in zip(cases, got)]
        ours.append(got)
    return native, ours


def differing(runs, candidates, rewriting):
    """Indices of the candidates that differ natively from one of our ways."""
    native, ours = outputs(runs, candidates, rewriting)
    return [i for i in range(len(native)) if any(i >= len(got) or got[i] != native[i] for got in ours)]


def with_codes(case, codes, options=None):
    return program.Case(case.seed, codes, case.options if options is None else options, case.flags)


def shortest(runs, case, rewriting):
    """Instructions become nops of the same length, then the nops go, while it still differs."""
    changed = True
    while changed and len(case.instructions) > 1:
        changed = False
        for at, code in enumerate(case.instructions):
            if set(code) == {NOP}:
                continue
            trial = with_codes(case, [*case.instructions[:at], bytes([NOP] * len(code)), *case.instructions[at + 1:]])
            if differing(runs, [trial], rewriting):
                case, changed = trial, True
    trial = with_codes(case, [c for c in case.instructions if set(c) != {NOP}])
    if trial.instructions and differing(runs, [trial], rewriting):
        case = trial
    trial = with_codes(case, case.instructions, case.options & ~program.STEP)
    if case.options & program.STEP and differing(runs, [trial], rewriting):
        case = trial
    while len(case.instructions) > 1 and set(case.instructions[-1]) == {NOP}:
        trial = with_codes(case, case.instructions[:-1])
        if not differing(runs, [trial], rewriting):
            break
        case = trial
    return case


def fields(output):
    """Records of a dump as dictionaries, and the page."""
    records, at = [], 0
    while len(output) - at >= RECORD:
        named = dict(zip(WORDS, struct.unpack_from(f"<{len(WORDS)}I", output, at)))
        rest = at + 4 * len(WORDS)
        for i in range(8):
            named[f"st({i})"] = int.from_bytes(output[rest + 10 * i:rest + 10 * i + 10], "little")
            named[f"xmm{i}"] = int.from_bytes(output[rest + 80 + 16 * i:rest + 96 + 16 * i], "little")
            named[f"ymm{i} high"] = int.from_bytes(output[rest + 208 + 16 * i:rest + 224 + 16 * i], "little")
        records.append(named)
        at += RECORD
        if not named["signal"]:
            break
    return records, output[at:]


def is_absent(x, y):
    """A write to a page that is only read and executed, which the kernel had not brought in: natively the error code says "not present"."""
    return x["vector"] == 14 and x["code"] == SEGV_ACCERR and not x["error"] & 1 and {**x, "error": x["error"] | 1} == y


def is_excused(native, ours):
    """Is the first difference one that is not ours? An access past 4 GiB is #GP or #SS natively and a page fault here, which the manual
    leaves to the processor (SDM vol. 3, 5.3); or a random selector named the segment that Linux keeps for the processor's number; or
    a page was absent."""
    (a, page), (b, our_page) = fields(native), fields(ours)
    has_absent = False
    for x, y in zip(a, b):
        if is_absent(x, y):
            has_absent = True
        elif x != y:
            if y["vector"] == 13 and y["error"] & ~7 == 0x78:
                return True
            return x["vector"] in (12, 13) and y["vector"] == 14 and y["cr2"] >= 0xFFFFFF00 and x["eip"] == y["eip"]
    return has_absent and len(a) == len(b) and page == our_page


def explain(native, ours):
    (a, page), (b, our_page) = fields(native), fields(ours)
    if len(a) != len(b):
        print(f"    {len(a) - 1} traps natively, {len(b) - 1} here")
    for number, (x, y) in enumerate(zip(a, b)):
        if x != y:
            print(f"    {'trap ' + str(number + 1) if x['signal'] else 'end'}: "
                  + ", ".join(f"{n} {x[n]:#x} natively, {y[n]:#x} here" for n in x if x[n] != y[n]))
            return
    for at in range(0, len(page), 4):
        if page[at:at + 4] != our_page[at:at + 4]:
            print(f"    memory at {program.forms.PAGE + at:#x}: {page[at:at + 4].hex(' ')} natively, {our_page[at:at + 4].hex(' ')} here")
            return


def report(runs, case, rewriting):
    """Shrink, explain and print a case found in a large program."""
    import run # as above
    where = getattr(case, "where", program.CODE)
    small = moved(case, where)
    if not differing(runs, [small], rewriting):
        print("    does not differ alone:", line(small, rewriting))
        return None
    before = line(small, rewriting)
    small = shortest(runs, small, rewriting)
    base = os.path.join(runs.work, "shrink")
    program.link([small], base, runs.work, runs.has_avx, writable=rewriting)
    runs.compile(base)
    text = line(small, rewriting)
    what = case.variant.text() if case.variant else re.sub("^", "block ", case.kind) if case.kind else ""
    print(f"    {what}")
    print(f"    {text}")
    if before != text:
        print(f"    from {before}")
    native = run.run([base, "0"]).stdout
    for name, command in runs.commands(base):
        ours = run.run([*command, "0"]).stdout
        if ours != native:
            print(f"   {name}:")
            explain(native, ours)
            break
    with open(os.path.join(runs.work, "found.txt"), "a", encoding="ascii") as out:
        out.write(f"{text} # {what}\n")
    return text
