"""Random blocks of control flow and stack games, each a list of instructions at a given address.

What is random: registers, constants, conditions, the arithmetic in between, where jumps go. Every block ends where it
leaves off, whatever it did to the stack, so blocks and single instructions follow one another.
"""
from forms import EAX, EBP, EBX, ECX, EDI, EDX, ESI, ESP, PAGE, le, mov

FREE = (EAX, EDX, EBX)
LOOP_COUNT = ECX


class Block:
    """Instructions with labels. rel8, rel32 and absolute references are filled in by bytes_at."""

    def __init__(self, random, is_defined=False):
        self.random, self.items, self.is_defined = random, [], is_defined

    def pick(self, items):
        return items[int(self.random.random() * len(items))]

    def put(self, *codes):
        for code in codes:
            self.items.append((bytes(code), None, None, b""))

    def label(self, name):
        self.items.append((b"", "label", name, b""))

    def short(self, opcode, name):
        self.items.append((bytes(opcode), "rel8", name, b""))

    def near(self, opcode, name):
        self.items.append((bytes(opcode), "rel32", name, b""))

    def absolute(self, opcode, name, after=b""):
        self.items.append((bytes(opcode), "abs", name, bytes(after)))

    def bytes_at(self, pc):
        size = {None: 0, "label": 0, "rel8": 1, "rel32": 4, "abs": 4}
        at, labels = pc, {}
        for code, kind, name, after in self.items:
            if kind == "label":
                labels[name] = at
            at += len(code) + size[kind] + len(after)
        out, at = [], pc
        for code, kind, name, after in self.items:
            at += len(code) + size[kind] + len(after)
            if kind == "label":
                continue
            if kind == "abs":
                value = labels[name[0]] + name[1] if isinstance(name, tuple) else labels[name]
                code += le(value, 4) + after
            elif kind:
                code += le(labels[name] - at, size[kind])
            out.append(code)
        return out

    # ---- what fills blocks --------------------------------------------

    def work(self, most=3):
        """Up to `most` instructions that leave ECX, ESP and the pointers alone."""
        for _ in range(self.random.getrandbits(8) % (most + 1)):
            a, b = self.pick(FREE), self.pick(FREE)
            kind = self.random.getrandbits(3)
            if self.is_defined and kind in (5, 6): # shifts and products leave flags undefined
                kind = 0
            op = self.random.getrandbits(3) << 3
            if kind < 3:
                self.put([op | self.pick((1, 3)), 0xC0 | a << 3 | b])
            elif kind == 3:
                self.put(bytes([0x81, 0xC0 | op | a]) + le(self.random.getrandbits(32), 4))
            elif kind == 4:
                self.put([op | self.pick((0, 1, 2, 3)), 0x47 | (a if a != EBX else EAX) << 3, self.random.getrandbits(6)])
            elif kind == 5:
                self.put([0xC1, 0xC0 | self.pick((0, 1, 2, 3, 4, 5, 7)) << 3 | a, self.random.getrandbits(5)])
            elif kind == 6:
                self.put([0x0F, 0xAF, 0xC0 | a << 3 | b])
            else:
                self.put([0x40 | self.random.getrandbits(1) << 3 | a])

    def condition(self):
        return self.random.getrandbits(4)


def loop(b):
    b.put(mov(ECX, 1 + b.random.getrandbits(4)))
    b.label("top")
    b.work()
    if b.random.getrandbits(1):
        b.short([0x70 | b.condition()], "skip")
        b.work(2)
        b.label("skip")
    if b.random.getrandbits(1):
        b.short([0xE2], "top")
    else:
        b.put([0x49])
        b.near([0x0F, 0x85], "top")


def branches(b):
    names = [f"l{i}" for i in range(2 + b.random.getrandbits(2))]
    for i, name in enumerate(names):
        b.work()
        if b.random.getrandbits(1):
            b.short([0x70 | b.condition()], b.pick(names[i:]))
        else:
            b.near([0x0F, 0x80 | b.condition()], b.pick(names[i:]))
        if b.random.getrandbits(1):
            b.put([0x0F, 0x40 | b.condition(), 0xC0 | b.pick(FREE) << 3 | b.pick(FREE)])
        if b.random.getrandbits(1):
            b.put([0x0F, 0x90 | b.condition(), 0xC0 | b.pick(FREE)])
        b.label(name)


def calls(b):
    frames = b.random.getrandbits(1)
    b.work()
    for n in range(1 + b.random.getrandbits(1)):
        b.put([0x50 | b.pick(FREE)])
        b.near([0xE8], "f")
        if b.random.getrandbits(1):
            b.short([0x70 | b.condition()], f"on{n}") # flags live on behind the call
        b.work()
        b.label(f"on{n}")
    b.near([0xE9], "end")
    b.label("f")
    if frames:
        b.put([0x55], [0x89, 0xE5])
    b.work()
    if frames:
        b.put([0x8B, 0x45, 0x08], [0xC9])
    b.put(b.pick(([0xC3], [0xC2, 4, 0], [0xF3, 0xC3], [0xC2, 8, 0])))
    b.label("end")


def jump_table(b):
    count = 2 + b.random.getrandbits(2)
    reg = b.pick((EAX, EDX, ECX))
    b.put(mov(reg, b.random.getrandbits(8) % count))
    if b.random.getrandbits(1):
        b.absolute([0xFF, 0x24, 0x85 | reg << 3], "table")
    else:
        b.absolute([0x8B, 0x04 | reg << 3, 0x85 | reg << 3], "table")
        b.put([0xFF, 0xE0 | reg])
    b.label("table")
    names = [f"case{i}" for i in range(count)]
    for name in names:
        b.absolute([], name)
    for name in names:
        b.label(name)
        b.work(2)
        if b.random.getrandbits(1):
            b.near([0xE9], "end")
    b.label("end")


def own_address(b):
    b.near([0xE8], "next")
    b.label("next")
    reg = b.pick((EAX, EDX, EBX, ECX, ESI))
    b.put([0x58 | reg])
    b.put(b.pick(([0x05, 1, 2, 3, 4], [0x83, 0xC0 | reg, 9], [0x8D, 0x40 | reg << 3 | reg, 5])))


def thunk(b):
    b.near([0xE8], "thunk")
    b.work()
    b.near([0xE9], "end")
    b.label("thunk")
    b.put([0x8B, 0x04 | b.pick(FREE) << 3, 0x24], [0xC3])
    b.label("end")


def unbalanced(b):
    kind = b.random.getrandbits(2)
    b.work()
    b.near([0xE8], "f")
    b.label("back")
    b.work()
    b.near([0xE9], "end")
    b.label("f")
    b.work()
    if kind == 0: # forget the return address
        b.put([0x83, 0xC4, 4])
        b.near([0xE9], "end")
    elif kind == 1: # return elsewhere
        b.put([0x58 | b.pick(FREE)])
        b.absolute([0x68], "elsewhere")
        b.put([0xC3])
    elif kind == 2: # leave two levels at once
        b.near([0xE8], "g")
        b.put([0x0F, 0x0B])
        b.label("g")
        b.put([0x83, 0xC4, 4])
        b.put([0xC3])
    else: # change the return address; flags live on
        b.absolute([0xC7, 0x04, 0x24], "elsewhere")
        b.work(2)
        b.put([0xC3])
    b.label("elsewhere")
    if b.random.getrandbits(1):
        b.put([0x0F, 0x90 | b.condition(), 0xC0 | b.pick(FREE)])
    b.work(2)
    b.label("end")


def add_to_return(b):
    """The return goes over what follows the call."""
    skipped = b.pick(([], [0x41], [0x41, 0x42], [0xE8, 1, 2, 3, 4]))
    b.near([0xE8], "f")
    b.put(skipped) if skipped else None
    b.work(2)
    b.near([0xE9], "end")
    b.label("f")
    b.work()
    b.put([0x83, 0x04, 0x24, len(skipped)])
    if b.random.getrandbits(1):
        b.put([0x39, 0xC0 | b.pick(FREE) << 3 | b.pick(FREE)])
    b.put([0xC3])
    b.label("end")
    b.put([0x0F, 0x90 | b.condition(), 0xC0 | b.pick(FREE)])


def overlapping(b):
    """The same bytes read two ways."""
    inside = b.pick(([0x40, 0x42, 0x43, 0x90], [0x01, 0xD0, 0xF8, 0x90], [0x31, 0xC0, 0x40, 0x40], [0x83, 0xC0, 0x05, 0x90], [0xF7, 0xD0, 0x99, 0x43]))
    reg = b.pick(FREE)
    b.put(mov(ECX, 2))
    b.label("again")
    b.short([0xE3], "end") # jecxz
    b.put([0x49], [0x85, 0xC9])
    target = ("whole", 1)
    b.short([0x74], "whole")
    if b.random.getrandbits(1):
        b.absolute([0x68], target)
        b.put([0xC3])
    else:
        b.absolute([0xB8 | EDX], target)
        b.put([0xFF, 0xE2])
    b.label("whole")
    b.put(bytes([0xB8 | reg]) + bytes(inside))
    b.work(2)
    b.short([0xEB], "again")
    b.label("end")


def stack_switch(b):
    b.put([0x89, 0xE1] if b.random.getrandbits(1) else [0x8D, 0x0C, 0x24]) # ECX holds the old one
    b.put(mov(ESP, PAGE + 0x900 + (b.random.getrandbits(4) << 2)))
    b.put([0x50 | b.pick(FREE)])
    if b.random.getrandbits(1):
        b.near([0xE8], "f")
        b.work(2)
        b.near([0xE9], "end")
        b.label("f")
        b.work()
        b.put([0xC3])
        b.label("end")
    b.work()
    b.put([0x58 | b.pick(FREE)])
    b.put([0x87, 0xCC] if b.random.getrandbits(1) else [0x89, 0xCC])


def stack_words(b):
    games = ([0x54, 0x58], [0x54, 0x5C], [0x50, 0x8F, 0x04, 0x24], [0xFF, 0x34, 0x24, 0x5A], [0xFF, 0x74, 0x24, 0x08, 0x5B], [0x60, 0x61],
             [0x66, 0x60, 0x66, 0x61], [0x9C, 0x58], [0x9C, 0x9D], [0x66, 0x9C, 0x66, 0x9D], [0x66, 0x50, 0x66, 0x5B], [0x50, 0x8F, 0x44, 0x24, 0xFC],
             [0xC8, 8, 0, 0, 0xC9], [0xC8, 4, 0, 1, 0xC9], [0xC8, 0, 0, 2, 0xC9], [0x55, 0x89, 0xE5, 0x83, 0xE4, 0xF0, 0x50, 0xC9], [0x83, 0xEC, 8, 0x83, 0xC4, 8],
             [0x8D, 0x64, 0x24, 0xF8, 0x01, 0x04, 0x24, 0x8D, 0x64, 0x24, 8], [0x6A, 0xFF, 0x59], [0x68, 1, 2, 3, 4, 0x5A], [0x1E, 0x1F], [0x06, 0x5A],
             [0x87, 0x04, 0x24], [0x01, 0x24, 0x24], [0x54, 0x5C, 0x44, 0x4C], [0x89, 0xE0, 0x94], [0x4C, 0x44], [0x81, 0xEC, 0, 1, 0, 0, 0x81, 0xC4, 0, 1, 0, 0],
             [0x50, 0x52, 0x53, 0x5A, 0x5B, 0x58], [0x16, 0x17], [0x0E, 0x5A])
    for _ in range(2 + b.random.getrandbits(1)):
        b.put(b.pick(games))
        b.work(2)


def strings(b):
    sizes = ([0xA4], [0xA5], [0x66, 0xA5], [0xAA], [0xAB], [0xAC], [0xAD], [0xA6], [0xA7], [0xAE], [0xAF])
    b.put([0xFC] if b.random.getrandbits(2) else [0xFD])
    b.put(mov(ESI, PAGE + 0x600 + b.random.getrandbits(6)), mov(EDI, PAGE + b.pick((0x600, 0x610, 0x700, 0x5F0)) + b.random.getrandbits(4)))
    b.put(mov(ECX, b.random.getrandbits(5)))
    if b.random.getrandbits(1):
        b.put([b.pick((0xF3, 0xF2))] + list(b.pick(sizes)))
        b.put([0x0F, 0x90 | b.condition(), 0xC0 | b.pick(FREE)])
    else:
        b.put([0x41])
        b.label("top")
        b.put([0xAC])
        b.work(2)
        b.put([0xAA])
        if b.random.getrandbits(1):
            b.put([0xA6])
        b.short([b.pick((0xE0, 0xE1, 0xE2))], "top")
    b.put([0xFC])


def recursion(b):
    b.put(mov(ECX, 1 + b.random.getrandbits(3)))
    b.near([0xE8], "f")
    b.near([0xE9], "end")
    b.label("f")
    b.work(2)
    b.put([0x49])
    b.short([0x74], "out")
    b.put([0x51])
    b.near([0xE8], "f")
    b.work(2)
    b.put([0x59] if b.random.getrandbits(1) else [0x83, 0xC4, 4], [0x85, 0xC9])
    b.label("out")
    b.put([0xC3])
    b.label("end")


def indirect(b):
    reg, far = b.pick((EAX, EDX, EBX, ESI, EDI, EBP)), b.random.getrandbits(1)
    place = PAGE + 0x740 + (b.random.getrandbits(2) << 2)
    b.work(2)
    if far:
        b.absolute(b"\xC7\x05" + le(place, 4), "f")
        b.put(b"\xFF\x15" + le(place, 4))
    else:
        b.absolute([0xB8 | reg], "f")
        b.put([0xFF, 0xD0 | reg])
    b.work(2)
    b.absolute([0xB8 | EDX], "end")
    b.put([0xFF, 0xE2])
    b.label("f")
    b.work()
    b.put([0xC3])
    b.label("end")


def coroutines(b):
    """Two streams that change places through the top of the stack; flags go with them."""
    b.absolute([0x68], "other")
    for _ in range(1 + b.random.getrandbits(1)):
        b.near([0xE8], "swap")
        b.put([0x0F, 0x90 | b.condition(), 0xC0 | b.pick(FREE)])
        b.work(2)
    b.put([0x83, 0xC4, 4])
    b.near([0xE9], "end")
    b.label("other")
    b.work(2)
    b.near([0xE8], "swap")
    b.put([0x0F, 0x40 | b.condition(), 0xC2])
    b.near([0xE8], "swap")
    b.put([0x0F, 0x0B])
    b.label("swap")
    b.put([0x59], [0x87, 0x0C, 0x24], [0x39, 0xC0 | b.pick(FREE) << 3 | b.pick(FREE)])
    b.put(b.pick(([0x51, 0xC3], [0xFF, 0xE1])))
    b.label("end")


def middle(b):
    """A return into the middle of a block that is entered at its top, too."""
    b.put(mov(ECX, 2 + b.random.getrandbits(1)))
    b.label("top")
    b.work(2)
    b.label("mid")
    b.work()
    b.put([0x0F, 0x90 | b.condition(), 0xC0 | b.pick(FREE)])
    b.put([0x49])
    b.short([0x74], "end")
    b.put([0xF6, 0xC1, 1])
    b.short([0x75], "top")
    b.absolute([0x68], "mid")
    b.work(2)
    b.put([0xC3])
    b.label("end")


def rewritten(b):
    """Code in the page, which is executable in programs of this kind: written, called, changed, called."""
    place = PAGE + 0x200 + (b.random.getrandbits(8) & 0xFC)
    kind = b.random.getrandbits(2)
    imm = b.random.getrandbits(32)
    b.put(mov(EDI, place))
    b.put(b"\xC7\x07" + bytes([0xB8]) + le(imm, 3), b"\xC7\x47\x04" + le(imm >> 24, 1) + b"\xC3\x90\x90") # mov $imm, %eax; ret
    b.put([0xFF, 0xD7])
    if kind == 0:
        b.put([0xFF, 0x47, 1], [0xFF, 0xD7]) # changes its constant
    elif kind == 1: # copied and run there
        b.put([0x56], mov(ESI, place), mov(EDI, place + 0x80 + b.random.getrandbits(4)), mov(ECX, 6), [0xFC], [0xF3, 0xA4], [0x5E])
        b.put([0x83, 0xEF, 6], [0xFF, 0xD7])
    elif kind == 2: # writes its next instruction: movb $0x42, 7+.(%edi); inc eax -> inc edx; ret
        b.put(b"\xC7\x07\xC6\x47\x04\x42", b"\xC7\x47\x04\x40\xC3\x90\x90", [0xFF, 0xD7], [0xFF, 0xD7])
    else:
        b.put([0x50, 0xFC], mov(EAX, 0x40404040 | b.random.getrandbits(1) * 0x02020202), mov(ECX, 4), [0xF3, 0xAB], [0xC6, 0x07, 0xC3], [0x58])
        b.put([0x83, 0xEF, 16], [0xFF, 0xD7])
    b.work(2)


BLOCKS = (loop, branches, calls, jump_table, own_address, thunk, unbalanced, add_to_return, overlapping, stack_switch, stack_words,
          strings, recursion, indirect, coroutines, middle)
REWRITING = (rewritten,)


def block(random, kind, pc, is_defined=False):
    """Instructions of one block of this kind at pc. is_defined: only what the manual defines."""
    b = Block(random, is_defined)
    kind(b)
    return b.bytes_at(pc)


__all__ = ["BLOCKS", "REWRITING", "block", "EBP"]
