"""64-bit code to text by llvm-objdump, for the tests that judge the verifier by another disassembler.

instructions(pieces) gives for each piece of code (bytes) the list of (length, text) that llvm-objdump reads at its start, until the
piece is used up; the last one may be longer than what is left. Text is Intel syntax with single blanks, "<unknown>" if it is none.

Two mistakes of LLVM 14 are put right: some instructions with VEX behind 67, such as vpaddusb and vandpd, it does not know, or takes for those
without VEX (read without 65 67, then, and gs and the width of the address put in), and it leaves out the "lock" of some instructions
with 16 bits.
"""
import os
import re
import shutil
import struct
import subprocess
import tempfile

LINE = re.compile(r"^ *([0-9a-f]+): ((?:[0-9a-f]{2}[ \t])+)\s*(.*)$")
PADDING = b"\xf4" * 16  # hlt: whatever goes past the end of a piece, the next one starts in step
WITH_VEX = re.compile(r"v|andn |bextr |bls|bzhi |mulx |pdep |pext |rorx |s[ah][lr]x ")
NAMES = ["llvm-objdump", "llvm-objdump-14", "llvm-objdump-15", "llvm-objdump-16", "llvm-objdump-19"]


def tool():
    """The program's path, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def object_file(code):
    """The smallest ELF object with that .text."""
    names = b"\0.text\0.shstrtab\0"
    at_names, at_code = 64, 128
    at_sections = (at_code + len(code) + 7) // 8 * 8
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 1, 62, 1, 0, 0, at_sections, 0, 64, 0, 0, 64, 3, 2)
    section = struct.Struct("<IIQQQQIIQQ").pack
    sections = section(0, 0, 0, 0, 0, 0, 0, 0, 0, 0) + section(1, 1, 6, 0, at_code, len(code), 0, 0, 16, 0) + \
        section(7, 3, 0, 0, at_names, len(names), 0, 0, 1, 0)
    return (header + names).ljust(at_code, b"\0") + code.ljust(at_sections - at_code, b"\0") + sections


def read(pieces, padding):
    """For each piece the list of (length, text) at its start, until the piece is used up; None where no instruction starts."""
    starts, code = [], bytearray()
    for piece in pieces:
        starts.append(len(code))
        code += piece + padding
    with tempfile.TemporaryDirectory(prefix="vx-llvm-") as folder:
        path = os.path.join(folder, "code.o")
        with open(path, "wb") as out:
            out.write(object_file(bytes(code)))
        with open(path + ".txt", "w", encoding="ascii") as out:  # a pipe would be filled line by line
            subprocess.run([tool(), "-d", "-z", "-M", "intel", path], stdout=out, check=True)
        with open(path + ".txt", encoding="ascii") as text:
            printed = text.read()
    found = {}
    for line in printed.split("\n"):
        match = LINE.match(line)
        if match:
            text = match[3].split(" # ")[0].split("<.text")[0]
            found[int(match[1], 16)] = (len(match[2]) // 3, " ".join(text.split()))
    result = []
    for start, piece in zip(starts, pieces):
        listed, at = [], 0
        while at < len(piece):
            listed.append(found.get(start + at))
            at += listed[-1][0] if listed[-1] else 1
        result.append(listed)
    return result


def instructions(pieces):
    """See above. Order is kept; an empty piece gives an empty list."""
    result = read(pieces, b"")
    # What does not end where its piece ends may hide the start of the next one.
    again = [i for i, (piece, listed) in enumerate(zip(pieces, result)) if None in listed or sum(length for length, _ in listed) != len(piece)]
    if again:
        for i, listed in zip(again, read([pieces[i] for i in again], PADDING)):
            result[i] = [one or (1, "<unknown>") for one in listed]
    repair(pieces, result)
    return result


def repair(pieces, result):
    """See above: for pieces of one instruction with 65 67."""
    again = [i for i, piece in enumerate(pieces)
             if piece[:3] in (b"\x65\x67\xc5", b"\x65\x67\xc4") and not WITH_VEX.match(result[i][0][1])]
    if again:
        for i, listed in zip(again, instructions([pieces[i][2:] for i in again])):
            if "[" in listed[0][1] and "rip" not in listed[0][1]:
                inside = re.sub(r"\[(.*)\]", lambda m: "gs:[" + re.sub(r"\br(?=[a-z])", "e", re.sub(r"\b(r\d+)\b", r"\1d", m[1])) + "]",
                                listed[0][1])
                result[i] = [(listed[0][0] + 2, inside), *listed[1:]]
    for listed, piece in zip(result, pieces):
        if piece.startswith(b"\x65\x67\xf0\x66") and re.match(r"(?:bt[src]|xadd|cmpxchg) ", listed[0][1]):
            listed[0] = (listed[0][0], "lock " + listed[0][1])
