#!/usr/bin/env python3
"""Write an i386 assembly program that runs random instructions and prints the state after each.

usage: generate.py SEED COUNT > program.s

Each case loads random registers and flags, runs one to three random instructions, and stores
registers, flags, xmm registers and the scratch memory in a buffer that is written to standard output. The
program uses no library and only two system calls, so the same file runs natively and under vxrun:
the outputs must be equal. The processor is the oracle.

Memory operands use ebx, esi, edi, ebp (pointing into the scratch area), ecx as an index of 0-3, and esp.
"""
import random
import sys

EDGES = [0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
         0xffffffff, 0xfffffffe, 0x55555555, 0xaaaaaaaa, 0x01234567, 0x89abcdef]
SCRATCH = 256          # bytes
STATE = 8 * 4 + 4 + 8 * 16 + 4 + 8 * 10 + SCRATCH   # general, eflags, xmm, x87 status, x87 stack

# (opcode bytes, what follows): m = ModRM, /d = ModRM with digit, b w d z = immediate, mem/reg = form only
ALU = [f"{op | form:02x} m" for op in range(0, 0x40, 8) for form in range(4)] + \
      [f"{op | 4:02x} b" for op in range(0, 0x40, 8)] + [f"{op | 5:02x} z" for op in range(0, 0x40, 8)]
INTEGER = ALU + [f"80 /{d} b" for d in range(8)] + [f"81 /{d} z" for d in range(8)] + \
    [f"83 /{d} b" for d in range(8)] + [f"82 /{d} b" for d in range(8)] + \
    [f"{op:02x}" for op in [*range(0x40, 0x44), *range(0x45, 0x4c), *range(0x4d, 0x50)]] + \
    ["69 m z", "6b m b", "84 m", "85 m", "86 m", "87 m", "88 m", "89 m", "8a m", "8b m", "8d m mem",
     "91", "92", "93", "95", "96", "97", "90", "98", "99", "9e", "9f", "a8 b", "a9 z"] + \
    [f"{op:02x} b" for op in range(0xb0, 0xb8)] + [f"{op:02x} z" for op in (0xb8, 0xb9, 0xba, 0xbb, 0xbd, 0xbe, 0xbf)] + \
    [f"c0 /{d} b" for d in (0, 1, 2, 3, 4, 5, 6, 7)] + [f"c1 /{d} b" for d in (0, 1, 2, 3, 4, 5, 6, 7)] + \
    [f"{op:02x} /{d}" for op in (0xd0, 0xd1, 0xd2, 0xd3) for d in (0, 1, 2, 3, 4, 5, 7)] + \
    ["c6 /0 b", "c7 /0 z", "f6 /0 b", "f6 /1 b", "f6 /2", "f6 /3", "f6 /4", "f6 /5", "f7 /0 z", "f7 /2", "f7 /3",
     "f7 /4", "f7 /5", "fe /0", "fe /1", "ff /0", "ff /1", "f5", "f8", "f9", "d7x"] + \
    [f"0f {op:02x} m" for op in range(0x40, 0x50)] + [f"0f {op:02x} /0" for op in range(0x90, 0xa0)] + \
    ["0f a3 m reg", "0f ab m reg", "0f b3 m reg", "0f bb m reg", "0f a4 m b", "0f a5 m", "0f ac m b", "0f ad m",
     "0f af m", "0f b0 m", "0f b1 m", "0f b6 m", "0f b7 m", "0f be m", "0f bf m", "0f bc m", "0f bd m",
     "0f c0 m", "0f c1 m", "f3 0f b8 m", "0f c7 /1 mem", "0f 1f /0"] + \
    [f"0f ba /{d} b" for d in (4, 5, 6, 7)] + [f"0f {op:02x}" for op in (0xc8, 0xc9, 0xca, 0xcb, 0xcd, 0xce, 0xcf)] + \
    ["27", "2f", "37", "3f", "d4 k", "d5 b", "d6", "9c 58", "9c 9d", "60 61", "0e 58", "16 5b", "c8 08 00 00 c9", "55 89 e5 c9",
     "50 53 5e 5f", "6a b 58", "68 d 5b", "54 58", "66 50 66 5b", "ff /6 mem 5a", "50 8f /0 mem",
     "f2 0f 38 f0 m", "f2 0f 38 f1 m", "83 ec n 83 c4 n", "8d 64 24 f0 8d 64 24 10", "e8 00 00 00 00 58 31 c0", "66 60 66 61"]
STRINGS = ["a4", "a5", "a6", "a7", "aa", "ab", "ac", "ad", "ae", "af", "66 a5", "66 a7", "66 ab", "66 ad", "66 af",
           "f3 a4", "f3 a5", "f3 aa", "f3 ab", "f3 a6", "f2 a6", "f3 ae", "f2 ae", "f3 66 a5", "f2 a7", "f3 ac", "67 a4", "67 f3 a4x"]
SSE = [f"{p}0f {op:02x} m" for p in ("", "66 ", "f3 ", "f2 ") for op in (0x10, 0x11, 0x51, 0x58, 0x59, 0x5c, 0x5d, 0x5e, 0x5f)] + \
    [f"{p}0f {op:02x} m" for p in ("", "66 ") for op in (0x14, 0x15, 0x54, 0x55, 0x56, 0x57, 0x2e, 0x2f)] + \
    [f"66 0f {op:02x} m" for op in [*range(0x60, 0x70), *range(0x74, 0x77), *range(0xd1, 0xd7), *range(0xd8, 0xe7), *range(0xe8, 0xf0), *range(0xf1, 0xf7), *range(0xf8, 0xff)] if op != 0xe7] + \
    [f"66 0f 38 {op:02x} m" for op in [*range(0, 0xc), *range(0x1c, 0x1f), *range(0x28, 0x2a), 0x2b, *range(0x38, 0x42), 0x10, 0x14, 0x15, 0x17, *range(0x20, 0x26), *range(0x30, 0x36)]] + \
    [f"66 0f 3a {op:02x} m b" for op in (0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x20, 0x22, 0x21, 0x40, 0x41, 0x42, 0x60, 0x61, 0x62, 0x63, 0x14, 0x15, 0x16, 0x17)] + \
    ["66 0f 6e m", "66 0f 7e m", "f3 0f 7e m", "66 0f d6 m", "f3 0f 2a m", "f2 0f 2a m", "f3 0f 2c m", "f2 0f 2d m", "0f 5a m", "f2 0f 5a m",
     "66 0f 70 m b", "f2 0f 70 m b", "f3 0f 70 m b", "0f c6 m b", "66 0f c6 m b", "66 0f c2 m k", "0f c2 m k", "0f 50 m reg", "66 0f d7 m reg",
     "66 0f c4 m b", "66 0f c5 m reg b", "0f 12 m", "0f 16 m", "f3 0f 12 m", "f3 0f 16 m", "f2 0f 12 m", "66 0f 7c m", "f2 0f d0 m", "f2 0f f0 m mem",
     "0f 28 m reg", "66 0f 6f m reg", "f3 0f 6f m", "f3 0f 7f m", "66 0f 71 /2 reg b", "66 0f 72 /4 reg b", "66 0f 73 /3 reg b", "66 0f 73 /7 reg b", "f3 0f e6 m", "0f 5b m"]
X87 = [f"d8 /{d} mem" for d in range(8)] + [f"dc /{d} mem" for d in range(8)] + [f"da /{d} mem" for d in range(8)] + \
    [f"de /{d} mem" for d in range(8)] + [f"d9 /{d} mem" for d in (0, 2, 3, 7)] + [f"db /{d} mem" for d in (0, 1, 2, 3, 5, 7)] + \
    [f"dd /{d} mem" for d in (0, 1, 2, 3, 7)] + [f"df /{d} mem" for d in range(8)] + \
    [f"{op} {b:02x}" for op, low, high in (("d8", 0xc0, 0x100), ("d9", 0xc0, 0xd1), ("d9", 0xe0, 0xe2), ("d9", 0xe4, 0xe6),
     ("d9", 0xe8, 0xef), ("d9", 0xf0, 0x100), ("da", 0xc0, 0xe0), ("da", 0xe9, 0xea), ("db", 0xc0, 0xe0), ("db", 0xe2, 0xe4),
     ("db", 0xe8, 0xf8), ("dc", 0xc0, 0xd0), ("dc", 0xe0, 0x100), ("dd", 0xc0, 0xc8), ("dd", 0xd0, 0xf0), ("de", 0xc0, 0xd0),
     ("de", 0xd9, 0xda), ("de", 0xe0, 0x100), ("df", 0xe0, 0xe1), ("df", 0xe8, 0xf8)) for b in range(low, high)]
MMX = [f"0f {op:02x} m" for op in [*range(0x60, 0x6c), 0x6f, 0x7f, *range(0x74, 0x77), *range(0xd1, 0xd6), *range(0xd8, 0xe6),
                                   *range(0xe8, 0xf0), *range(0xf1, 0xf7), *range(0xf8, 0xff)]] + \
    [f"0f 38 {op:02x} m" for op in [*range(0, 0xc), *range(0x1c, 0x1f)]] + ["0f 70 m b", "0f 3a 0f m b", "0f 6e m", "0f 7e m",
     "0f d7 m reg", "0f c4 m b", "0f c5 m reg b", "0f 71 /2 reg b", "0f 72 /4 reg b", "0f 73 /6 reg b", "0f 2a m", "66 0f 2a m",
     "0f 2c m", "66 0f 2d m", "f3 0f d6 m reg", "f2 0f d6 m reg", "0f e7 m mem", "0f 77", "0f f7 m reg", "66 0f f7 m reg"]


class Generator:
    def __init__(self, seed, count):
        self.random = random.Random(seed)
        self.count = count

    def value(self):
        r = self.random
        return r.choice(EDGES) if r.random() < 0.5 else r.getrandbits(32)

    def modrm(self, digit, form, aligned):
        """ModRM and what follows; digit None: any register but esp."""
        r = self.random
        reg = digit if digit is not None else r.choice([0, 1, 2, 3, 5, 6, 7])
        if form == "reg" or (form != "mem" and r.random() < 0.4):
            return [0xc0 | reg << 3 | r.choice([0, 1, 2, 3, 5, 6, 7])]
        kind = r.randrange(5)
        disp = r.randrange(0, 64, 16) if aligned else r.randrange(-32, 64)
        disp &= 0xff
        if kind == 0:
            return [0x40 | reg << 3 | r.choice([3, 5, 6, 7]), disp]
        if kind == 1:
            return [0x44 | reg << 3, 0x24, disp & 0x30]
        if kind == 2 and not aligned:
            return [0x44 | reg << 3, r.randrange(4) << 6 | 1 << 3 | r.choice([3, 5, 6, 7]), disp]
        if kind == 3:
            return [0x80 | reg << 3 | r.choice([3, 5, 6, 7]), disp & 0x30, 0, 0, 0]
        return [0x05 | reg << 3, "scratch+%d" % (r.randrange(0, 128, 16) if aligned else r.randrange(0, 128))]

    def encode(self, template, prefix16, aligned):
        r, out, digit, form = self.random, [], None, None
        if template == "d7x":
            return None
        words = template.split()
        for i, word in enumerate(words):
            rest = words[i + 1:i + 2]
            if word == "m" or word.startswith("/"):
                digit = int(word[1:]) if word.startswith("/") else None
                form = rest[0] if rest and rest[0] in ("mem", "reg") else None
                out += self.modrm(digit, form, aligned)
            elif word in ("mem", "reg"):
                continue
            elif word == "b":
                out.append(r.choice([0, 1, 2, 7, 8, 0x1f, 0x20, 0x7f, 0x80, 0xff, r.getrandbits(8)]))
            elif word == "n":
                out.append(0x18)
            elif word == "k":
                out.append(r.randrange(1, 8))
            elif word in ("z", "d"):
                v = self.value()
                out += [v & 255, v >> 8 & 255]
                if not prefix16 or word == "d":
                    out += [v >> 16 & 255, v >> 24 & 255]
            else:
                out.append(int(word.rstrip("x"), 16))
        return out

    def case(self, n):
        r = self.random
        print(f"case{n}:")
        print("  movl %esp, saved_esp\n  leal stack_middle, %esp")
        print("  call refill" if n % 4 == 0 else "  nop")
        print("  fninit\n  fldt scratch+16\n  fldl scratch+32\n  flds scratch+44\n  fildl scratch+50\n  fnclex")
        flags = r.getrandbits(12) & 0x8d5 | 2
        kind = r.random()
        regs = {name: self.value() for name in ("eax", "ecx", "edx")}
        pointers = {name: f"scratch+{r.randrange(48, 160, 16)}" for name in ("ebx", "ebp", "esi", "edi")}
        uses_ecx_index = True
        sequence = []
        for _ in range(r.choice([1, 1, 1, 2])):
            if kind < 0.62:
                template = r.choice(INTEGER)
                prefix16 = r.random() < 0.25 and len(template.split()) > 1 and not template.startswith(("f3", "66", "f2", "0f c7", "9c", "60", "e8", "83 ec", "0f c8", "8d 64", "0e", "16", "c8", "55", "54", "68", "6a", "50", "ff /6", "50 8f")) or False
                code = self.encode(template, prefix16, False)
            elif 0.80 < kind < 0.90:
                code = self.encode(r.choice(X87 if kind < 0.86 else MMX), False, True)
                prefix16 = False
            elif kind < 0.70:
                template, prefix16 = r.choice(STRINGS), False
                code = None if template.endswith("x") or template.startswith("67") else self.encode(template, False, False)
            else:
                template, prefix16 = r.choice(SSE), False
                code = self.encode(template, False, True)
            if code is not None:
                sequence.append(([0x66] if prefix16 else []) + code)
                if any(b == "x" for b in code):
                    sequence.pop()
        if uses_ecx_index:
            regs["ecx"] = r.randrange(0, 4)
        print(f"  pushl ${flags}\n  popfl")
        for name, v in regs.items():
            print(f"  movl ${v}, %{name}")
        for name, v in pointers.items():
            print(f"  movl ${v}, %{name}")
        if sequence and len(sequence) > 1:
            # the first instruction may have changed a pointer: only register forms are safe after it
            sequence = sequence[:1] + [s for s in sequence[1:] if self.is_register_only(s)]
        for code in sequence:
            text = []
            for item in code:
                if isinstance(item, str):
                    if text:
                        print("  .byte " + ", ".join(text))
                    print(f"  .long {item}")
                    text = []
                else:
                    text.append("0x%02x" % item)
            if text:
                print("  .byte " + ", ".join(text))
        print("  call record\n  movl saved_esp, %esp")

    @staticmethod
    def is_register_only(code):
        return len(code) >= 2 and isinstance(code[-1], int) and code[0] in range(0x40) and code[0] & 7 < 4 and \
            code[1] >= 0xc0 and len(code) == 2

    def program(self):
        print("""  .text
  .globl _start
record:
  movl %eax, regs
  pushfl
  popl regs+32
  movl %ecx, regs+4
  movl %edx, regs+8
  movl %ebx, regs+12
  movl %esp, regs+16
  movl %ebp, regs+20
  movl %esi, regs+24
  movl %edi, regs+28
  cld""")
        for i in range(8):
            print(f"  movups %xmm{i}, regs+{36 + 16 * i}")
        print("  fnstsw regs+164")
        for i in range(8):
            print(f"  fstpt regs+{168 + 10 * i}")
        print("  fninit")
        print(f"""  movl out, %edi
  movl $regs, %esi
  movl ${36 + 128 + 84}, %ecx
  rep movsb
  movl $scratch, %esi
  movl ${SCRATCH}, %ecx
  rep movsb
  movl %edi, out
  cmpl $buffer+{STATE}*64, %edi
  jb 1f
  call flush
1: ret
flush:
  movl $4, %eax
  movl $1, %ebx
  movl $buffer, %ecx
  movl out, %edx
  subl %ecx, %edx
  int $0x80
  movl $buffer, out
  ret
refill:
  movl $0x9e3779b9, %eax
  movl $scratch, %edi
  movl ${SCRATCH // 4}, %ecx
1: imull $1664525, %eax
  addl $1013904223, %eax
  stosl
  loop 1b""")
        for i in range(8):
            print(f"  movups scratch+{16 * i + 5}, %xmm{i}")
        print("  ret\n_start:")
        for n in range(self.count):
            self.case(n)
        print("""  call flush
  movl $1, %eax
  xorl %ebx, %ebx
  int $0x80
  .data
  .balign 16
regs: .space 512
saved_esp: .long 0
out: .long buffer
  .balign 64""")
        print(f"  .space 4096\nscratch: .space {SCRATCH}\n  .space 4096")
        print("  .space 4096\nstack_middle: .space 4096")
        print(f"buffer: .space {STATE}*65")


if __name__ == "__main__":
    Generator(int(sys.argv[1]), int(sys.argv[2])).program()
