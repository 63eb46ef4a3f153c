"""The cases of faults.py: instructions whose memory operand is missing, read-only, or across two pages, in
every form of the opcode table; instructions with implicit operands; and the other exceptions.
"""
import forms
import program
import table

PAGE, ARENA = 0x1000, 0x30000000
P1 = ARENA + PAGE
PATTERN = (0x1B16261D, 0x2F112B13, 0x17291F15, 0x122C2521)   # any misaligned word is an address where nothing is
NORMAL_FP = 0x1F80037F
EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI = range(8)
REGS = {EAX: 0x278, ECX: 3, EDX: 5, EBX: P1, ESP: ARENA + 3 * PAGE + 0x800, EBP: P1, ESI: P1, EDI: P1}
FLAGS = 0x202 | 0x8D5
# What a Linux kernel may show user code, or emulate, or not: policy, not exactness.
NOT_COMPARED = {"sldt", "str", "sgdt", "sidt", "smsw", "lmsw"}

SINGLE = [("unmapped", "w-ww", 0x40), ("read-only", "wrww", 0x40), ("no access", "wnww", 0x40)]
ACROSS = [("second page missing", "w-ww"), ("first page missing", "-www"), ("second page read-only", "wrww"),
          ("first page read-only", "rwww"), ("both missing", "--ww")]


class Case:
    def __init__(self, text, code, regs=None, prot="wwww", fill=PATTERN, flags=FLAGS, fp=NORMAL_FP):
        self.text, self.code, self.prot, self.fill, self.flags, self.fp = text, code, prot, fill, flags, fp
        self.regs = {**REGS, **(regs or {})}
        # Instructions of many accesses: which is made first is up to the processor.
        self.is_wide = text.startswith(("fnsave", "frstor", "fnstenv", "fldenv", "fxsave", "fxrstor", "popa"))
        # Faults with the x87 state already turned into MMX state, or not yet.
        self.is_early_mmx = text.startswith("maskmovq")
        # May have loaded some of its registers when it faults: it will load them again.
        self.is_popa = text.startswith("popa")
        # A return that was not predicted loses the arithmetic flags (docs/design.md).
        self.is_odd_return = text.startswith(("ret,", "ret 16,"))
        self.is_at_end = "the last byte of all" in text or "the last four" in text


def places(back):
    """Where an operand may lie: name, page states, address."""
    found = [(name, prot, P1 + offset) for name, prot, offset in SINGLE]
    for k in back:
        found += [(f"{name}, {k} before", prot, P1 - k) for name, prot in ACROSS]
    return found + [("the last byte of all", "wwww", 0xFFFFFFFF), ("the last four", "wwww", 0xFFFFFFFC)]


def hexa(code):
    return " ".join(f"{b:02x}" if isinstance(b, int) else b for b in code)


# ---- ModRM ------------------------------------------------------------

def memory_form(number, reg, address):
    """ModRM bytes and the registers that make the address."""
    form = number % 4
    if form == 0:
        return [0x03 | reg << 3], {EBX: address}
    if form == 1:
        return [0x47 | reg << 3, 0x20], {EDI: address - 0x20 & 0xFFFFFFFF}
    if form == 2:
        return [0x84 | reg << 3, 0x8E, 0x00, 0xF0, 0xFF, 0xFF], {ESI: address + 0x1000 - 12 & 0xFFFFFFFF}
    return [0x85 | reg << 3, 0x00, 0x01, 0x00, 0x00], {EBP: address - 0x100 & 0xFFFFFFFF}


def zero_field(number, offset):
    """movl $0 into the operand of memory_form."""
    start = [[0x43], [0x47], [0x84, 0x8E], [0x85]][number % 4]
    disp = [0, 0x20, -0x1000, 0x100][number % 4] + offset
    return [0xC7, *start, *disp.to_bytes(1 if number % 4 < 2 else 4, "little", signed=True), 0, 0, 0, 0]


LOCKABLE = {"add", "or", "adc", "sbb", "and", "sub", "xor", "not", "neg", "inc", "dec", "xchg", "xadd", "cmpxchg", "cmpxchg8b",
            "bts", "btr", "btc"}


def fills(row):
    """Contents of the arena: the pattern, and what lets this instruction go on further."""
    selectors = (0x002B002B,) * 4
    special = {"CALL_E": [("to the end", ("end",) * 4)], "JMP_E": [("to the end", ("end",) * 4)],
               "LOAD_FAR": [("good selector", selectors)], "MOV_TO_SEG": [("good selector", selectors), ("null", (0,) * 4)],
               "LAR": [("good selector", selectors)], "LSL": [("good selector", selectors)],
               "VERR": [("good selector", selectors)], "VERW": [("good selector", selectors)],
               "FAR_E": [("to the end", ("end", 0x23, "end", 0x23))], "BOUND": [("wide", (0x80000000, 0x7FFFFFFF) * 2)],
               "FXRSTOR": [("zeros", (0,) * 4)], "FLDENV": [("zeros", (0,) * 4)]}
    result = [("", PATTERN)] + special.get(row.klass, [])
    if row.name == "ldmxcsr":
        result.append(("default", (0x1F80,) * 4))
    if row.name == "cmpxchg8b":
        result.append(("equal", (0x278, 5) * 2))
    if row.name == "cmpxchg":
        result.append(("equal", (0x278,) * 4))
    return result


def row_cases(rows):
    """Every row with a memory operand, with and without 66 and lock, at every place."""
    for number, row in enumerate(rows):
        if not row.is_memory() or row.name in NOT_COMPARED:
            continue
        wide = row.klass in ("FNSAVE", "FRSTOR", "FNSTENV", "FLDENV", "FXSAVE", "FXRSTOR")
        back = (2, 16, 80, 256) if wide else (1, 4, 9)
        variants = [[]] + ([[0x66]] if row.is_sized() or (wide and row.map == 0) else [])
        if row.name in LOCKABLE and row.memory_access() == "x":
            variants += [[0xF0] + v for v in variants]
        for prefix in variants:
            for note, fill in fills(row):
                for place, prot, address in places(back):
                    if row.klass in ("FXSAVE", "FXRSTOR") and place.startswith("both"):
                        continue # which page is missed first is up to the processor
                    digit = row.digit()
                    modrm, regs = memory_form(number, 2 if digit is None else digit, address)
                    code = prefix + row.encoding() + modrm + [5] * row.immediate_size(0x66 in prefix)
                    if row.klass == "FXSAVE": # the virtual CPU's mask of MXCSR is its own
                        code += zero_field(number, 28)
                    yield Case(f"{row.name} {','.join(row.operands)} ({hexa(code)}), {place}{', ' + note if note else ''}", code, regs,
                               prot, fill)
        if row.klass in ("PUSH_E", "CALL_E", "POP_E"): # the stack is the place, the operand is not
            modrm, _ = memory_form(0, row.digit(), P1)
            for place, prot, address in places((1, 2, 3)):
                stack = address if row.klass == "POP_E" else address + 4
                yield Case(f"{row.name} ({hexa(row.encoding() + modrm)}), stack {place}", row.encoding() + modrm,
                           {EBX: ARENA + 3 * PAGE + 0x100, ESP: stack & 0xFFFFFFFF}, prot, ("end",) * 4)


def vex_cases(rows):
    """Rows with VEX, each length. Not gathers: what is left of the mask is up to the processor."""
    for number, row in enumerate(rows):
        if row.map < 4 or row.klass == "GATHER" or row.name.startswith("vmaskmovdqu") or not forms.takes_memory(row):
            continue
        digit = row.digit()
        named = any(o[0] in "HB" for o in row.operands)
        immediate = [5] if any(o[0] in "I" for o in row.operands) else [0x50] if any(o[0] == "L" for o in row.operands) else []
        for length in row.lengths():
            for place, prot, address in places((1, 4, 9)):
                modrm, regs = memory_form(number, 2 if digit is None else digit, address)
                code = row.vex_bytes(length, "VW1" in row.vex, 3 if named else None, number % 2) + modrm + immediate
                yield Case(f"{row.name} {','.join(row.operands)} ({hexa(code)}), {place}", code, regs, prot)


# ---- implicit operands ------------------------------------------------

def stack_cases():
    """Operands on the stack: offset of the operand from ESP, size."""
    end = ("end", 0x23, 0xAD7, "end")
    below = [("push eax", 4, [0x50]), ("push esp", 4, [0x54]), ("push imm8", 4, [0x6A, 0x81]), ("push imm32", 4, [0x68, 1, 2, 3, 4]),
             ("push ax", 2, [0x66, 0x50]), ("push imm16", 2, [0x66, 0x68, 1, 2]), ("push ds", 4, [0x1E]), ("push fs", 4, [0x0F, 0xA0]),
             ("push es o16", 2, [0x66, 0x06]), ("pushf", 4, [0x9C]), ("pushf o16", 2, [0x66, 0x9C]), ("pusha", 32, [0x60]),
             ("pusha o16", 16, [0x66, 0x60]), ("call", 4, [0xE8, 0, 0, 0, 0]), ("enter 8,0", 4, [0xC8, 8, 0, 0]),
             ("enter 0,0", 4, [0xC8, 0, 0, 0]), ("enter 8,0, new top", 12, [0xC8, 8, 0, 0]), ("enter 4096,0, new top", 4100, [0xC8, 0, 0x10, 0]),
             ("enter 16,1", 8, [0xC8, 16, 0, 1]), ("enter 16,1, new top", 24, [0xC8, 16, 0, 1]), ("enter o16", 2, [0x66, 0xC8, 4, 0, 0]),
             ("push eax, pop ecx", 4, [0x50, 0x59]), ("three pushes", 8, [0x50, 0x51, 0x52]), ("push, call", 8, [0x50, 0xE8, 0, 0, 0, 0])]
    above = [("pop eax", [0x58], PATTERN), ("pop esp", [0x5C], PATTERN), ("pop ax", [0x66, 0x58], PATTERN), ("pop sp", [0x66, 0x5C], PATTERN),
             ("popa", [0x61], PATTERN), ("popa o16", [0x66, 0x61], PATTERN), ("pop ds", [0x1F], (0x2B,) * 4), ("pop es o16", [0x66, 0x07], (0x2B002B,) * 4),
             ("pop fs", [0x0F, 0xA1], (0,) * 4), ("pop ss", [0x17], PATTERN), ("popf", [0x9D], (0xAD6,) * 4), ("popf o16", [0x66, 0x9D], (0xAD60AD6,) * 4),
             ("ret", [0xC3], end), ("ret 16", [0xC2, 16, 0], end), ("retf", [0xCB], end), ("retf 8", [0xCA, 8, 0], end), ("iret", [0xCF], end),
             ("retf, bad selector", [0xCB], PATTERN), ("iret, bad selector", [0xCF], PATTERN), ("three pops", [0x58, 0x59, 0x5A], PATTERN)]
    for place, prot, address in places((1, 2, 3, 4, 8, 12, 20)):
        for text, size, code in below:
            yield Case(f"{text}, stack {place}", code, {ESP: address + size & 0xFFFFFFFF, EBP: ARENA + 3 * PAGE + 0x80}, prot)
        for text, code, fill in above:
            if text.startswith(("retf", "iret")) and ", 8 before" in place or ", 12 before" in place or ", 20 before" in place:
                continue # some processors look past the frame
            yield Case(f"{text}, stack {place}", code, {ESP: address}, prot, fill)
        for text, code in (("leave", [0xC9]), ("leave o16", [0x66, 0xC9])):
            yield Case(f"{text}, frame {place}", code, {EBP: address}, prot)
        for level in (2, 4, 31):
            yield Case(f"enter 8,{level}, outer frame {place}", [0xC8, 8, 0, level], {EBP: address + 4 & 0xFFFFFFFF}, prot)


def string_cases():
    kinds = [(name, opcode, size) for name, opcode in (("movs", 0xA4), ("cmps", 0xA6), ("stos", 0xAA), ("lods", 0xAC), ("scas", 0xAE))
             for size in (1, 2, 4)]
    for name, opcode, size in kinds:
        code = ([0x66] if size == 2 else []) + [opcode | (size > 1)]
        for rep in (None, 0xF3, 0xF2):
            for down in (0, 0x400):
                for place, prot, address in places((1, 3, 16)):
                    for pointer in (ESI, EDI):
                        if (pointer == ESI and name in ("stos", "scas")) or (pointer == EDI and name == "lods"):
                            continue
                        other = ARENA + 3 * PAGE + 0x200
                        regs = {ESI: other, EDI: other + 0x100, ECX: 24, EAX: 0x5A5A5A5A, pointer: address}
                        # compared strings are equal, or never: so that a repetition goes on
                        fill = (0x5A5A5A5A,) * 4 if rep != 0xF2 or name not in ("cmps", "scas") else PATTERN
                        yield Case(f"{hexa([rep] if rep else [])} {name} {size}, {'down' if down else 'up'}, "
                                   f"{'source' if pointer == ESI else 'destination'} {place}", ([rep] if rep else []) + code, regs, prot, fill,
                                   0x202 | down)


def segment_cases(rows):
    """Operands through %fs, whose base is the arena; 16-bit addresses reach it that way too."""
    def offset(address):
        return address - ARENA & 0xFFFFFFFF
    for number, row in enumerate(rows):
        if not row.is_memory() or row.name in NOT_COMPARED or row.klass in ("LEA", "FXSAVE", "FXRSTOR") or number % 3:
            continue
        digit = row.digit()
        for place, prot, address in places((1, 4)):
            modrm, regs = memory_form(number // 3, 2 if digit is None else digit, offset(address))
            code = [0x64] + row.encoding() + modrm + [5] * row.immediate_size(False)
            yield Case(f"{row.name} {','.join(row.operands)} ({hexa(code)}), fs, {place}", code, regs, prot)
            # [bx+si+disp16]: the upper halves do not count
            code = [0x64, 0x67] + row.encoding() + [0x80 | (2 if digit is None else digit) << 3, 0x34, 0x12] + [5] * row.immediate_size(False)
            regs = {EBX: 0xABCD0000 | offset(address) - 0x1234 - 0x8765 & 0xFFFF, ESI: 0x12348765}
            if offset(address) < 0x10000:
                yield Case(f"{row.name} {','.join(row.operands)} ({hexa(code)}), fs, 16-bit, {place}", code, regs, prot)
    for name, opcode in (("movs", 0xA4), ("cmps", 0xA6), ("lods", 0xAC)):
        for size, rep, down in ((s, r, d) for s in (1, 2, 4) for r in ([], [0xF3], [0xF2]) for d in (0, 0x400)):
            code = rep + [0x64] + ([0x66] if size == 2 else []) + [opcode | (size > 1)]
            for place, prot, address in places((1, 3, 16)):
                other = ARENA + 3 * PAGE + 0x200
                fill = (0x5A5A5A5A,) * 4 if rep != [0xF2] or name != "cmps" else PATTERN
                yield Case(f"{hexa(rep)} {name} {size}, fs, {'down' if down else 'up'}, source {place}", code,
                           {ESI: offset(address), EDI: other, ECX: 24}, prot, fill, 0x202 | down)
                if name == "lods":
                    yield Case(f"{hexa(rep)} {name} {size}, fs, 16-bit, {'down' if down else 'up'}, source {place}", [0x67] + code,
                               {ESI: 0xABCD0000 | offset(address) & 0xFFFF, ECX: 0x12340018}, prot, fill, 0x202 | down)
                else:
                    yield Case(f"{hexa(rep)} {name} {size}, fs, {'down' if down else 'up'}, destination {place}", code,
                               {ESI: 3 * PAGE + 0x200, EDI: address, ECX: 24}, prot, fill, 0x202 | down)


def other_cases():
    for place, prot, address in places((1, 2, 4, 8)):
        yield Case(f"xlat, {place}", [0xD7], {EBX: address - 0x78 & 0xFFFFFFFF}, prot)
        for text, opcode in (("moffs load8", 0xA0), ("moffs load", 0xA1), ("moffs store8", 0xA2), ("moffs store", 0xA3)):
            yield Case(f"{text}, {place}", [opcode, *address.to_bytes(4, "little")], {}, prot)
        # all bits set: whether others fault is up to the processor
        for text, code in (("maskmovq", [0x0F, 0xF7, 0xD3]), ("maskmovdqu", [0x66, 0x0F, 0xF7, 0xD3])):
            yield Case(f"{text}, {place}", code, {EDI: address}, prot)
        for text, opcode in (("bt", 0xA3), ("bts", 0xAB), ("btr", 0xB3), ("btc", 0xBB)):
            yield Case(f"{text} far, {place}", [0x0F, opcode, 0x13], {EBX: address + 0x10000000 & 0xFFFFFFFF, EDX: 0x80000005}, prot)
            yield Case(f"{text} o16 far, {place}", [0x66, 0x0F, opcode, 0x13], {EBX: address + 0x1000 & 0xFFFFFFFF, EDX: 0x8005}, prot)
        # faults in the middle of a block: what came before is done, what comes after is not
        yield Case(f"inc, load, inc, {place}", [0x40, 0x8B, 0x0B, 0x42], {EBX: address}, prot)
        yield Case(f"cmp, push, store, {place}", [0x39, 0xC8, 0x50, 0x89, 0x13, 0x5A], {EBX: address}, prot)
        yield Case(f"mul, adc m, {place}", [0xF7, 0xE1, 0x11, 0x03], {EBX: address}, prot)


# ---- exceptions -------------------------------------------------------

X87_MASKS = {"invalid": 0x37E, "denormal": 0x37D, "zero": 0x37B, "overflow": 0x377, "underflow": 0x36F, "precision": 0x35F}
SSE_MASKS = {"invalid": 0x1F00, "denormal": 0x1E80, "zero": 0x1D80, "overflow": 0x1B80, "underflow": 0x1780, "precision": 0x0F80}


def jumps_by_return():
    """A pushed address, returned to: the flags live on."""
    for place, prot, address in places((1, 2)):
        yield Case(f"push m, ret, operand {place}", [0xFF, 0x33, 0xC3], {EBX: address}, prot, ("end",) * 4)
        yield Case(f"cmp, push m, ret, stack {place}", [0x39, 0xC8, 0xFF, 0x33, 0xC3], {ESP: address + 4 & 0xFFFFFFFF, EBX: ARENA + 3 * PAGE + 0x20},
                   prot, ("end",) * 4)


def integer_exceptions():
    zero = {ECX: 0}
    for text, code in (("div cl", [0xF6, 0xF1]), ("idiv cl", [0xF6, 0xF9]), ("div cx", [0x66, 0xF7, 0xF1]), ("div ecx", [0xF7, 0xF1]),
                       ("idiv ecx", [0xF7, 0xF9]), ("idiv cx", [0x66, 0xF7, 0xF9])):
        yield Case(f"{text} by zero", code, zero)
        yield Case(f"{text} overflow", code, {EDX: 0xFFFFFFFF, EAX: 0x80008000, ECX: 1})
        yield Case(f"{text} most negative", code, {EDX: 0xFFFFFFFF, EAX: 0x80000000, ECX: 0xFFFFFFFF})
        yield Case(f"{text} fits", code, {EDX: 0, EAX: 77, ECX: 7})
    for text, code in (("aam 0", [0xD4, 0]), ("aam 10", [0xD4, 10]), ("int3", [0xCC]), ("int 3", [0xCD, 3]), ("int 4", [0xCD, 4]),
                       ("int 0", [0xCD, 0]), ("int 1", [0xCD, 1]), ("int 0x21", [0xCD, 0x21]), ("int 0xff", [0xCD, 0xFF]),
                       ("ud2", [0x0F, 0x0B]), ("ud1", [0x0F, 0xB9, 0xC0]), ("ud0", [0x0F, 0xFF, 0xC0]), ("lock add reg", [0xF0, 0x01, 0xC0]),
                       ("lock cmp m", [0xF0, 0x39, 0x03]), ("lock mov", [0xF0, 0x89, 0x03]), ("lock nop", [0xF0, 0x90]), ("lea reg", [0x8D, 0xC0]),
                       ("mov cs", [0x8E, 0xC8]), ("les reg", [0x0F, 0xB2, 0xC0]), ("cmpxchg8b reg", [0x0F, 0xC7, 0xC8]), ("bound ok", [0x62, 0x03]),
                       ("hlt", [0xF4]), ("cli", [0xFA]), ("sti", [0xFB]), ("in", [0xE4, 0x80]), ("out", [0xEE]), ("ins", [0x6C]), ("rep outs", [0xF3, 0x6F]),
                       ("rdmsr", [0x0F, 0x32]), ("clts", [0x0F, 0x06]), ("mov cr0", [0x0F, 0x20, 0xC0]), ("lgdt", [0x0F, 0x01, 0x13]),
                       ("invlpg", [0x0F, 0x01, 0x3B]), ("wbinvd", [0x0F, 0x09]), ("ltr", [0x0F, 0x00, 0xD8]), ("rsm", [0x0F, 0xAA]),
                       ("mov ds bad", [0x8E, 0xD8]), ("mov ss null", [0x8E, 0xD1]), ("far jump bad", [0xEA, 0, 0, 0, 0, 0x33, 0x01]),
                       ("far call null", [0x9A, 0, 0, 0, 0, 0, 0]), ("movaps misaligned", [0x0F, 0x28, 0x4B, 0x01]), ("fxsave misaligned", [0x0F, 0xAE, 0x43, 8])):
        yield Case(text, code, {})
    for flags in (FLAGS, FLAGS & ~0x800):
        yield Case(f"into, eflags {flags:#x}", [0xCE], {}, flags=flags)
    for text, bounds in (("inside", (5, 5)), ("below", (6, 9)), ("above", (0, 4)), ("negative", (0x80000000, 0xFFFFFFFF))):
        yield Case(f"bound {text}", [0x62, 0x13], {EBX: P1}, fill=bounds * 2)
        yield Case(f"bound o16 {text}", [0x66, 0x62, 0x13], {EBX: P1}, fill=(bounds[0] & 0xFFFF | bounds[1] << 16 & 0xFFFFFFFF,) * 4)


def clear(*offsets):
    """movl $0, offset(%ebx): instruction and data pointers, which the virtual CPU does not show."""
    return [b for offset in offsets for b in (0xC7, 0x43, offset, 0, 0, 0, 0)]


def x87_exceptions():
    """One kind unmasked, the instruction that raises it, and each kind of instruction that then reports it."""
    raisers = {"invalid": [[0xD9, 0xEE, 0xDE, 0xF9, 0xD9, 0xEE, 0xD8, 0xF0], [0xD9, 0xEE, 0xD8, 0xF0], [0xDD, 0xD8] * 5], # 0/0, empty
               "denormal": [[0xDD, 0x03]], "zero": [[0xD9, 0xE8, 0xD9, 0xEE, 0xDE, 0xF9]],
               "overflow": [[0xD9, 0xEB, 0xDB, 0x2B, 0xD8, 0xC8]], "underflow": [[0xDB, 0x2B, 0xD8, 0xC8, 0xDD, 0x1B]],
               "precision": [[0xD9, 0xEB, 0xD9, 0x1B], [0xD9, 0xEB, 0xD9, 0xE8, 0xDE, 0xF1]]}
    reporters = {"fwait": [0x9B], "fld1": [0xD9, 0xE8], "fnop": [0xD9, 0xD0], "movq": [0x0F, 0x6F, 0xC1], "emms": [0x0F, 0x77], "fild": [0xDB, 0x03],
                 "fst m": [0xDD, 0x13], "fnstsw": [0xDF, 0xE0], "fnstenv": [0xD9, 0x33, *clear(12, 16, 20, 24)],
                 "fnsave": [0xDD, 0x33, *clear(12, 16, 20, 24)], "fldcw": [0xD9, 0x2B],
                 "fldenv": [0xD9, 0x23], "frstor": [0xDD, 0x23], "fxsave": [0x0F, 0xAE, 0x03, *clear(4, 8, 12, 16, 20, 28)], "fnclex, fwait": [0xDB, 0xE2, 0x9B],
                 "addps": [0x0F, 0x58, 0xC1], "maskmovq": [0x0F, 0xF7, 0xD3], "cvtpi2ps": [0x0F, 0x2A, 0xC1], "inc": [0x40],
                 "fcomi": [0xDB, 0xF1], "fninit": [0xDB, 0xE3], "fld m, unmapped": [0xDD, 0x00]}
    contents = {"denormal": (1, 0, 1, 0), "overflow": (0, 0x80000000, 0x7FFE, 0), "underflow": (1, 0x80000000, 2, 0)}
    for kind, raising in raisers.items():
        for raiser in raising:
            for name, reporter in reporters.items():
                yield Case(f"x87 {kind} ({hexa(raiser)}), then {name}", raiser + reporter, {EBX: P1 + 0x40, EDI: P1 + 0x40},
                           fill=contents.get(kind, PATTERN), fp=0x1F800000 | X87_MASKS[kind])


def sse_exceptions():
    """One kind unmasked; scalar, packed, single, double, register and memory operands."""
    words = {"invalid": (0x7FA00001, 0x7FF00001) * 2, "denormal": (1, 0) * 2, "zero": (0,) * 4, "overflow": (0x7F7FFFFF, 0x7FEFFFFF) * 2,
             "underflow": (0x00800000, 0x00100000) * 2, "precision": (0x3DCCCCCD, 0x3FB99999) * 2}
    for kind, fill in words.items():
        for prefix in ([], [0x66], [0xF3], [0xF2]):
            load = [0x0F, 0x10, 0x0B] # movups (%ebx),%xmm1
            for opcode in (0x51, 0x58, 0x59, 0x5C, 0x5D, 0x5E, 0xC2, 0x5A):
                tail = [1] if opcode == 0xC2 else []
                yield Case(f"sse {kind} {hexa(prefix)} 0f {opcode:02x} reg", load + prefix + [0x0F, opcode, 0xC9, *tail], {EBX: P1}, fill=fill,
                           fp=SSE_MASKS[kind] << 16 | 0x37F)
                yield Case(f"sse {kind} {hexa(prefix)} 0f {opcode:02x} mem", load + prefix + [0x0F, opcode, 0x0B, *tail], {EBX: P1}, fill=fill,
                           fp=SSE_MASKS[kind] << 16 | 0x37F)
        for text, code in (("cvtss2si", [0xF3, 0x0F, 0x2D, 0x03]), ("cvttsd2si", [0xF2, 0x0F, 0x2C, 0x03]), ("comiss", [0x0F, 0x2F, 0x0B]),
                           ("ucomisd", [0x66, 0x0F, 0x2E, 0x0B]), ("cvtdq2ps", [0x0F, 0x5B, 0x0B]), ("cvtps2dq", [0x66, 0x0F, 0x5B, 0x0B]),
                           ("cvtps2pi", [0x0F, 0x2D, 0x03]), ("cvtpi2ps", [0x0F, 0x2A, 0x03]), ("roundps", [0x66, 0x0F, 0x3A, 0x08, 0x03, 0]),
                           ("dpps", [0x66, 0x0F, 0x3A, 0x40, 0x0B, 0xFF]), ("haddps", [0xF2, 0x0F, 0x7C, 0x0B]), ("addsubpd", [0x66, 0x0F, 0xD0, 0x0B])):
            yield Case(f"sse {kind} {text}", code, {EBX: P1}, fill=fill, fp=SSE_MASKS[kind] << 16 | 0x37F)


def all_cases(features):
    """All cases of the rows that need no more than these features. xsave and xrstor, which shift with the processor, are left to run.py."""
    rows = [row for row in table.rows() if program.features(row) <= features and row.klass != "UD" and not forms.is_xsave(row)]
    result = []
    for cases in (row_cases(rows), vex_cases(rows), stack_cases(), string_cases(), segment_cases(rows), other_cases(), jumps_by_return(), integer_exceptions(), x87_exceptions(), sse_exceptions()):
        result += cases
    return result
