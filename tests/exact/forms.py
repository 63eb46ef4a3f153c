"""Every legal form of every row of the opcode table, as encoders of random instructions.

A form is a row with a kind of operand (register, memory and how it is addressed) and prefixes: variants() lists them, and
encode() makes one instruction of a form, with what it needs before (a pointer in a register) and after (what
the virtual CPU does not show is cleared). What is random comes from the generator that is passed in.
"""
PAGE, WINDOW = 0x30001000, 0x30000000
EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI = range(8)
EDGES32 = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFFE,
           0x55555555, 0xAAAAAAAA, 0x01234567]
EDGES8 = [0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 0x7F, 0x80, 0x81, 0xFE, 0xFF]
# Null, the flat segments, and what no processor has; not what a kernel may have there or not.
SELECTORS = [0, 0, 0x23, 0x2B, 0x28, 0x2A, 0xFFF8, 0x8765, 0x2000]

# Rows without an oracle, and what covers them instead.
NO_ORACLE = {
    "sysenter": "natively a system call by the kernel's own convention; here #UD or #GP (test_box_signals)",
    "int1": "some hypervisors show it before it is done (test_box)",
    **{name: "the kernel may emulate it (UMIP); here #GP, compared by fault_cases.py"
       for name in ("sldt", "str", "sgdt", "sidt", "smsw")},
}
# What differs from run to run, or shows the virtual CPU: executed, and the results cleared.
CLEARED = {"cpuid", "rdtsc", "rdtscp", "rdrand", "rdseed", "rdpid", "xgetbv"}
FAR_BITS = ("bt", "bts", "btr", "btc")
MODRM_OPERANDS = "EGMVWPQUNRSH"
LOCKABLE = {"add", "or", "adc", "sbb", "and", "sub", "xor", "not", "neg", "inc", "dec", "xchg", "xadd", "cmpxchg", "cmpxchg8b",
            "bts", "btr", "btc"}


def le(value, size):
    return (value & (1 << 8 * size) - 1).to_bytes(size, "little")


def mov(reg, value):
    return bytes([0xB8 | reg]) + le(value, 4)


def store(address, value):
    """movl $value, %ss:address"""
    return b"\x36\xC7\x05" + le(address, 4) + le(value, 4)


class Variant:
    """A form: kind is reg, mem, or none; prefixes are bytes before the opcode."""

    def __init__(self, row, kind, how="", prefixes=b"", is_16=False, length=0):
        self.row, self.kind, self.how, self.prefixes, self.is_16, self.length = row, kind, how, prefixes, is_16, length

    def text(self):
        row = self.row
        start = ["vex" + str(row.map - 3), f"{row.opcode:02x}", row.prefix] if row.map > 3 else [f"{b:02x}" for b in row.encoding()]
        encoding = " ".join(start) + (f" {row.form}" if row.form not in ("ANY",) else "")
        words = [row.name, ",".join(row.operands), f"({encoding})", self.kind, self.how]
        return " ".join(w for w in words if w)


def has_modrm(row):
    return row.form != "ANY" or any(o[0] in MODRM_OPERANDS for o in row.operands if not o.startswith(("eAX", "AL")))


def takes_memory(row):
    if row.form.startswith(("DR", "X(", "REG")):
        return False
    return row.form.startswith(("DM", "MEM")) or any(o[0] in "EWQM" for o in row.operands)


def takes_register(row):
    if row.form.startswith(("DM", "MEM", "X(")):
        return False
    if (row.map, row.opcode) == (1, 0x0D): # prefetchw: Intel's have a nop there, AMD's #UD
        return False
    return row.form.startswith(("DR", "REG")) or any(o[0] in "EWQUNR" for o in row.operands)


def is_xsave(row):
    return row.name.startswith(("xsave", "xrstor"))


def takes_66(row):
    """Is 66 a plain prefix here, changing the operand size or nothing?"""
    return row.map < 4 and row.prefix == "NP" and (row.map == 0 or row.is_sized() or row.klass not in ("PASS", "UD"))


def variants(row):
    """All forms of a row."""
    if not has_modrm(row):
        kinds = [("none", "", b"")]
        if row.klass in ("STRING", "XLAT", "MOV_MOFFS") or row.name.startswith(("ins", "outs")):
            kinds += [("none", "fs", b"\x64"), ("none", "es", b"\x26"), ("none", "a16", b"\x67"), ("none", "fs a16", b"\x64\x67")]
        if row.klass == "STRING" or row.name.startswith(("ins", "outs")):
            kinds += [("none", f"{name} {how}".strip(), rep + p) for name, rep in (("rep", b"\xF3"), ("repne", b"\xF2"))
                      for how, p in (("", b""), ("fs", b"\x64"), ("fs a16", b"\x64\x67"), ("a16", b"\x67"))]
            if row.name.startswith("cmps"): # which of two missing operands is missed first is up to the processor
                kinds = [k for k in kinds if "a16" not in k[1] or "fs" in k[1]]
        if row.klass in ("LOOP", "LOOPE", "LOOPNE", "JCXZ"):
            kinds.append(("none", "a16", b"\x67"))
        if row.klass in ("JCC", "JMP", "CALL", "RET"):
            kinds += [("none", "f2", b"\xF2"), ("none", "3e", b"\x3E")]
    else:
        kinds = []
        if takes_register(row) or row.form.startswith("X("):
            kinds += [("reg", "", b""), ("reg", "segment prefix", b"\x3E")]
        if takes_memory(row):
            kinds += [("mem", how, b"") for how in ("base", "index", "absolute", "stack", "edge")]
            kinds += [("mem", "fs", b"\x64"), ("mem", "fs a16", b"\x64\x67"), ("mem", "a16", b"\x67"), ("mem", "es", b"\x26"), ("mem", "ss", b"\x36")]
            if row.klass in ("FNSAVE", "FRSTOR", "FNSTENV", "FLDENV", "FXSAVE", "FXRSTOR") or is_xsave(row): # fault_cases.py has these
                kinds = [k for k in kinds if "edge" not in k[1] and k[1] != "a16"]
            if row.name in LOCKABLE and row.memory_access() == "x":
                kinds += [("mem", "lock", b"\xF0"), ("mem", "fs lock", b"\x64\xF0")]
    if row.prefix == "NP" and row.map == 0 and row.opcode != 0x90 and row.klass not in ("STRING", "JCC", "JMP", "CALL", "RET", "LOOPE", "LOOPNE") and \
            not row.name.startswith(("ins", "outs")):
        # These mean nothing here. (loope and loopne: AMD's processors take them for the condition.)
        kinds += [(kinds[-1][0] if kinds[-1][1] == "" else kinds[0][0], how, prefixes)
                  for how, prefixes in (("f2, ignored", b"\xF2"), ("f3, ignored", b"\xF3"), ("all ignored", b"\x2E\xF3\x3E\xF2\x3E"))]
    if row.prefix in ("PF2", "PF3") and row.map < 4: # 16 bits (popcnt, crc32), or nothing
        kinds += [(kind, f"{how} 66".strip(), p + b"\x66") for kind, how, p in kinds[:2]]
    if row.prefix in ("NP", "NPO") and row.name != "mov cr": # some processors take lock for another register
        kinds.append((kinds[0][0], "lock, illegal", b"\xF0"))
    result = []
    if row.map > 3:
        return [Variant(row, kind, f"{how} L{length}".strip(), prefixes, False, length) for kind, how, prefixes in kinds for length in row.lengths()]
    for kind, how, prefixes in kinds:
        result.append(Variant(row, kind, how, prefixes))
        if takes_66(row):
            result.append(Variant(row, kind, f"{how} o16".strip(), prefixes + b"\x66", True))
    return result


class Encoder:
    """Encodes variants at an address. random: random.Random."""

    def __init__(self, random):
        self.random = random
        self.bits = random.getrandbits

    def pick(self, items):
        return items[int(self.random.random() * len(items))]

    def immediate(self, size):
        if size == 1:
            return bytes([self.pick(EDGES8) if self.bits(1) else self.bits(8)])
        return le(self.pick(EDGES32) if self.bits(1) else self.bits(32), size)

    # ---- operands -----------------------------------------------------

    def address(self, wide):
        """An operand's place in the page; wide: 512 bytes, aligned."""
        offset = 0x400 + (self.bits(9) & (0x1F0 if self.bits(2) else 0x1FF))
        return PAGE + (0x400 + (self.bits(4) << 4) if wide else offset)

    def memory(self, variant, reg):
        """(instructions before, ModRM bytes, address of the operand)."""
        how = variant.how
        wide = variant.row.klass in ("FXSAVE", "FXRSTOR", "FNSAVE", "FRSTOR") or is_xsave(variant.row)
        address = self.address(wide) & (~63 if is_xsave(variant.row) else ~0)
        if "edge" in how:
            address = PAGE + 0x1000 - self.pick((1, 2, 3, 4, 7, 8, 15)) if self.bits(1) else PAGE - self.pick((1, 2, 4, 8, 15))
        if "a16" in how:
            if "fs" not in how: # the first 64 KiB: nothing is there
                return [], bytes([0x06 | reg << 3]) + le(self.bits(16), 2), 0
            offset = address - WINDOW
            form = self.bits(2)
            if form == 0:
                return [], bytes([0x06 | reg << 3]) + le(offset, 2), address
            if form == 1: # [bx+si+disp8]: upper halves do not count
                disp, si = self.bits(7), self.bits(16)
                bx = offset - disp - si & 0xFFFF
                return [mov(EBX, self.bits(16) << 16 | bx), mov(ESI, self.bits(16) << 16 | si)], bytes([0x40 | reg << 3, disp]), address
            if form == 2:
                disp = self.bits(16)
                return [mov(EDI, self.bits(16) << 16 | offset - disp & 0xFFFF)], bytes([0x85 | reg << 3]) + le(disp, 2), address
            return [mov(EBP, self.bits(16) << 16 | offset - 5)], bytes([0x46 | reg << 3, 5]), address
        target = address - WINDOW if "fs" in how else address
        own = () if is_xsave(variant.row) else (EAX,) # there eax says which components
        if "index" in how:
            return self.sib(target, reg, address, own)
        if "absolute" in how or ("base" not in how and self.bits(1)):
            return [], bytes([0x05 | reg << 3]) + le(target, 4), address
        if "stack" in how:
            disp = self.pick((0, 4, 0x10, 0x40, 0x7C))
            known = variant.row.klass in ("FXSAVE", "FNSAVE", "FNSTENV", "LOAD_FAR", "LAR", "LSL", "VERR", "VERW", "MOV_TO_SEG") or is_xsave(variant.row) # prepare() or clean() need the address
            return [mov(ESP, address - disp)] if known else [], bytes([0x44 | reg << 3, 0x24, disp]), address if known else None
        base = self.pick((EBX, EBP, ESI, EDI, *own, ECX, EDX))
        form = self.bits(2)
        if form == 0 and base != EBP:
            return [mov(base, target)], bytes([reg << 3 | base]), address
        if form < 3:
            disp = self.random.randrange(-128, 128)
            return [mov(base, target - disp)], bytes([0x40 | reg << 3 | base]) + le(disp, 1), address
        disp = self.bits(32)
        return [mov(base, target - disp)], bytes([0x80 | reg << 3 | base]) + le(disp, 4), address

    def sib(self, target, reg, address, own):
        base, index, scale = self.pick((EBX, EBP, ESI, EDI, *own)), self.pick((ECX, EDX)), self.bits(2)
        count = self.pick((0, 1, 3, 0xFFFFFFFF, 0x80000000, self.bits(32)))
        form = self.bits(2)
        scaled = count << scale
        if form == 0:
            return [mov(index, count)], bytes([0x04 | reg << 3, scale << 6 | index << 3 | 5]) + le(target - scaled, 4), address
        if form == 1:
            disp = self.random.randrange(-128, 128)
            return [mov(index, count), mov(base, target - scaled - disp)], \
                bytes([0x44 | reg << 3, scale << 6 | index << 3 | base]) + le(disp, 1), address
        if form == 2: # no index
            return [mov(base, target - 4)], bytes([0x44 | reg << 3, scale << 6 | 4 << 3 | base, 4]), address
        disp = self.bits(32)
        return [mov(index, count), mov(base, target - scaled - disp)], \
            bytes([0x84 | reg << 3, scale << 6 | index << 3 | base]) + le(disp, 4), address

    # ---- instructions -------------------------------------------------

    def encode(self, variant, pc):
        """Instructions as a list of bytes, and the index of the one that was asked for. pc: where they will lie."""
        row = variant.row
        before, after, modrm, address = [], [], b"", None
        digit = row.digit()
        reg = digit if digit is not None else self.bits(3)
        memory = variant.kind == "mem"
        if row.form.startswith("X("):
            modrm = bytes([int(row.form[2:-1], 0)])
        elif variant.kind == "reg":
            rm = self.bits(3)
            if rm == ESP and self.bits(2) and row.operands and row.operands[0][0] in "EGR":
                rm = EAX
            if reg == ESP and digit is None and self.bits(2):
                reg = EDX
            if row.name in CLEARED:
                rm &= 3
            modrm = bytes([0xC0 | reg << 3 | rm])
        elif memory:
            if reg == ESP and digit is None and self.bits(2):
                reg = EDX
            if row.klass in ("MOV_TO_SEG", "MOV_FROM_SEG") and self.bits(2):
                reg = self.pick((0, 2, 3, 4, 5))
            if row.name in FAR_BITS and digit is None and "a16" in variant.how:
                reg = EDX
            before, modrm, address = self.memory(variant, reg)
        before = self.prepare(row, variant, modrm, address) + before
        if row.map > 3:
            return self.vex(variant, before, modrm)
        opcode = bytes(row.encoding())
        mandatory = {"P66": 1, "PF3": 1, "PF2": 1}.get(row.prefix, 0)
        body = opcode[:mandatory] + variant.prefixes + opcode[mandatory:]
        if variant.prefixes and self.bits(1): # in any order
            body = variant.prefixes + opcode
        at = pc + sum(map(len, before))
        tail = self.tail(row, variant, at, len(body) + len(modrm))
        if row.klass in ("RET", "FAR_RET", "FAR_E", "CALL_E", "JMP_E", "FAR_JMP", "FAR_CALL") and self.bits(3):
            made = self.transfer(row, variant, at, body, modrm, address, pc, before)
            if made:
                return made
        after = self.clean(row, variant, address, modrm)
        return before + [body + modrm + tail] + after, len(before)

    def vex(self, variant, before, modrm):
        """The rest of encode for a row with VEX."""
        row = variant.row
        named = any(o[0] in "HB" for o in row.operands)
        register = self.bits(3) if named else 0
        tail = b""
        if row.klass == "GATHER": # VSIB: three registers that differ. Where one element faults, what is left of the mask is up to the processor
            first = self.bits(2)
            modrm = bytes([0x04 | first << 3]) + bytes([self.bits(2) << 6 | (first + 2) << 3 | EBX])
            register = first + 1
            place = PAGE + 0x480
            before = [store(place + 4 * i, self.bits(5)) for i in range(4)] + [b"\x36\x0F\x10" + bytes([0x05 | (first + 2) << 3]) + le(place, 4)]
            if variant.length:
                before.append(bytes([0xC4, 0xE3, 0x05 | (15 - first - 2) << 3, 0x18, 0xC0 | (first + 2) * 9, 1])) # vinsertf128
            before.append(mov(EBX, PAGE + 0x500 - (WINDOW if "fs" in variant.how else 0)))
        for operand in row.operands:
            if operand[0] == "I":
                tail += self.immediate(1)
            elif operand[0] == "L":
                tail += bytes([self.bits(3) << 4])
        wide = {"VW0": 0, "VW1": 1}.get(next((w for w in row.vex if w.startswith("VW")), ""), None)
        wide = self.bits(1) if wide is None else wide
        length = variant.length if "VLIG" not in row.vex else self.bits(1)
        code = variant.prefixes + bytes(row.vex_bytes(length, wide, register, self.bits(1))) + modrm + tail
        return before + [code], len(before)

    def prepare(self, row, variant, modrm, address):
        """What makes it likely that the instruction does something."""
        before = []
        if row.klass in ("MOV_TO_SEG", "LAR", "LSL", "VERR", "VERW", "POP_SEG", "LOAD_FAR"):
            selector = self.pick(SELECTORS)
            if row.klass == "POP_SEG":
                before.append(b"\x68" + le(selector, 4))
            elif row.klass == "LOAD_FAR":
                if address and "edge" not in variant.how:
                    before.append(store(address + (2 if variant.is_16 else 4), selector))
            elif variant.kind == "reg":
                before.append(mov(modrm[0] & 7, self.bits(16) << 16 | selector))
            elif address and "edge" not in variant.how:
                before.append(store(address, selector))
        elif row.name in ("div", "idiv") and self.bits(1):
            before.append(mov(EDX, self.pick((0, 0, 1, 0xFFFFFFFF))))
            before.append(mov(EAX, self.bits(5)))
        elif row.name == "ldmxcsr" and address and "edge" not in variant.how and self.bits(2):
            before.append(store(address, 0x1F80 | self.bits(16) & 0xE07F))
        elif row.klass == "FXRSTOR" and address and "edge" not in variant.how and self.bits(2):
            before.append(store(address + 24, 0x1F80))
        elif row.klass in ("STRING", "XLAT"):
            if self.bits(2):
                before.append(mov(ECX, self.pick((0, 1, 2, 5, 17, 64, 300))))
            offset = 0 if "a16" not in variant.how else self.bits(16) << 16
            if "fs" in variant.how:
                before.append(mov(EBX if row.klass == "XLAT" else ESI, offset | 0x1500 + self.bits(6)))
        elif row.klass in ("LOOP", "LOOPE", "LOOPNE", "JCXZ"):
            before.append(mov(ECX, self.pick((0, 1, 2, 0x10000, 0x10001, 0xFFFFFFFF))))
        elif row.name in FAR_BITS and "a16" in variant.how and row.digit() is None:
            # past 64 KiB addresses start again, which is not done (docs/design.md)
            before.append(mov(EDX, self.bits(4)))
        elif row.name.startswith(("maskmov", "vmaskmovdqu")): # which byte is missed first, and with what x87 state, is up to the processor
            before.append(mov(EDI, self.address(False)))
        elif row.klass == "BOUND" and address and "edge" not in variant.how and self.bits(1):
            before += [store(address, 0x80000000 | self.bits(8)), store(address + 4, 0x7FFFFFFF)]
        elif is_xsave(row): # the processor may have components that the virtual CPU has not
            before.append(b"\x83\xE0\x07") # and $7,%eax
        elif row.klass == "POPF":
            before.append(b"\x68" + le(self.bits(12) & (0xFD5 if self.bits(3) == 0 else 0xCD5), 4))
        return before

    def tail(self, row, variant, at, length):
        """Immediates, branch displacements, far pointers."""
        out = b""
        for operand in row.operands:
            kind = operand[0]
            if operand in ("Jb", "Jz"):
                size = 1 if operand == "Jb" else 2 if variant.is_16 else 4
                out += le(self.pick((0, 1, 2)) if size == 1 or self.bits(5) else self.bits(32), size)
            elif operand == "Ap":
                size = 2 if variant.is_16 else 4
                out += le(self.bits(32), size) + le(self.pick(SELECTORS), 2)
            elif kind == "O":
                out += le(self.address(False) - (WINDOW if "fs" in variant.how else 0), 2 if "a16" in variant.how else 4)
            elif kind == "I" and len(operand) > 1:
                size = {"b": 1, "w": 2, "z": 2 if variant.is_16 else 4}[operand[1]]
                if row.klass == "INT":
                    number = self.pick((0, 1, 3, 4, 5, 0x21, 0x7F, 0x81, 0xFF))
                    out += bytes([number])
                elif row.klass == "ENTER":
                    out += le(self.pick((0, 1, 8, 64, 0x400, 0xFFFF)), 2) if operand == "Iw" else bytes([self.pick((0, 0, 1, 2, 3, 31, 33))])
                elif row.klass in ("RET", "FAR_RET"): # some processors look at the end of the frame first
                    out += le(self.pick((0, 4, 8, 1, 0x20) if row.klass == "FAR_RET" else (0, 4, 8, 1, 0x100, 0xFFFF)), 2)
                else:
                    out += self.immediate(size)
        if row.klass in ("JCC", "JMP", "CALL", "LOOP", "LOOPE", "LOOPNE", "JCXZ"):
            out += b"\x41\x42" # what is jumped over: inc ecx; inc edx
        return out

    def transfer(self, row, variant, at, body, modrm, address, pc, before):
        """Indirect, far and returning transfers that go to the instruction behind, or over one."""
        skip = self.pick((0, 0, 1, 2))
        far = b"\x41\x42"
        if row.klass in ("RET", "FAR_RET"):
            if variant.is_16:
                return None
            tail = le(self.pick((0, 4, 8, 1)), 2) if "Iw" in row.operands else b""
            pushes = 1 + (row.klass == "FAR_RET") + (row.name == "iret")
            here = at + 5 * pushes + len(body) + len(tail) + skip
            push = [b"\x68" + le(v, 4) for v in ([0x202 | self.bits(12) & 0x8D5] if row.name == "iret" else []) +
                    ([0x23] if row.klass == "FAR_RET" else []) + [here]]
            return before + push + [body + tail, far], len(before) + pushes
        if row.klass in ("FAR_JMP", "FAR_CALL"):
            size = 2 if variant.is_16 else 4
            there = at + len(body) + size + 2 + skip
            return before + [body + le(there, size) + le(0x23, 2), far], len(before)
        if variant.kind == "reg":
            rm = modrm[0] & 7
            if rm == ESP:
                return None
            there = at + 5 + len(body) + len(modrm) + skip
            return before + [mov(rm, there), body + modrm, far], len(before) + 1
        if not address or "edge" in variant.how:
            return None
        size = 11 * (2 if row.klass == "FAR_E" else 1)
        # before the pointer is made: stores do not touch it
        there = at + size + len(body) + len(modrm) + skip
        stores = [store(address, there)]
        if row.klass == "FAR_E":
            stores.append(store(address + (2 if variant.is_16 else 4), 0x23))
        return stores + before + [body + modrm, far], len(stores) + len(before)

    def clean(self, row, variant, address, modrm):
        """Clear what the virtual CPU need not show, or what changes from run to run."""
        if row.klass in ("MOV_TO_SEG", "POP_SEG", "LOAD_FAR"):
            # ds and es are always flat here, and fs as it is: the test goes on with them so
            segment = {"pop es": 0, "pop ss": 2, "pop ds": 3, "pop fs": 4, "pop gs": 5, "les": 0, "lds": 3, "lss": 2, "lfs": 4, "lgs": 5}.get(row.name)
            segment = modrm[0] >> 3 & 7 if segment is None else segment
            if segment in (0, 3, 4):
                return [bytes([0x8C, 0xC3 | segment << 3]), mov(EAX, 0x63 if segment == 4 else 0x2B), bytes([0x8E, 0xC0 | segment << 3])]
        if row.name in CLEARED:
            return [mov(r, 0) for r in (EAX, ECX, EDX, EBX)] + [b"\x85\xC0"]
        if not address or (row.klass not in ("FXSAVE", "FNSAVE", "FNSTENV") and not is_xsave(row)):
            return []
        if row.klass == "FXSAVE" or is_xsave(row):
            offsets = (4, 8, 12, 16, 20, 28)
        else:
            offsets = (6, 10) if variant.is_16 else (12, 16, 20, 24)
        return [store(address + o, 0) for o in offsets]
