#!/usr/bin/env python3
"""The rules of docs/security.md once more, over what llvm-objdump says: whatever the verifier accepted must satisfy them.

usage: verify_spec.py --run VERIFY-SAMPLER SEQUENCES SEED
       verify_sampler SEQUENCES SEED | verify_spec.py

Reads records (struct record of verify_sampler.c). A chunk is cut at the boundaries that the verifier reported. Each piece must be
one instruction for llvm-objdump, of exactly that length and allowed by V03 to V10, or one of the sequences S1 to S3; then V01, V14 to
V16 and the CPU features are checked for the chunk. Written from docs/security.md ("Rules", "The allow-list by name") and the contract,
without the verifier's sources; it knows nothing of opcodes but the bytes of the sequences and of what has no name of its own.
Prints counts. Exit status: 0 all satisfy the rules, 1 one does not (each is printed, 20 at most), 77 no llvm-objdump.
"""
import collections
import re
import struct
import subprocess
import sys

import llvm_text

RECORD = struct.Struct("<II3QQII64s")
BATCH = 40000

# ---- The allow-list by name (V04)
CONDITIONS = "a ae b be e g ge l le ne no np ns o p s".split()
ALLOWED = set("""
    add or adc sbb and sub xor cmp test mov xchg inc dec neg not mul imul div idiv lea movzx movsx bswap cbw cwde cwd cdq
    rol ror rcl rcr shl sal shr sar shld shrd bt bts btr btc bsf bsr xadd cmpxchg cmpxchg8b
    clc stc cmc cld std lahf sahf nop pause hlt ud2 wait fwait rdtsc rdrand rdseed
    popcnt lzcnt tzcnt movbe crc32 adcx adox movnti lfence mfence sfence ldmxcsr stmxcsr
    fld fst fstp fild fist fistp fisttp fbld fbstp fxch fadd faddp fiadd fsub fsubp fisub fsubr fsubrp fisubr fmul fmulp fimul
    fdiv fdivp fidiv fdivr fdivrp fidivr fcom fcomp fcompp fucom fucomp fucompp fcomi fcomip fcompi fucomi fucomip fucompi ficom ficomp
    ftst fxam fld1 fldl2t fldl2e fldpi fldlg2 fldln2 fldz fchs fabs fsqrt frndint fscale fprem fprem1 f2xm1 fyl2x fyl2xp1 fptan
    fpatan fxtract fsin fcos fsincos fdecstp fincstp ffree fnop fnclex fninit fldcw fnstcw fnstsw
    fcmovb fcmove fcmovbe fcmovu fcmovnb fcmovne fcmovnbe fcmovnu
    emms movd movq packsswb packssdw packuswb paddb paddw paddd paddq paddsb paddsw paddusb paddusw pand pandn por pxor
    pcmpeqb pcmpeqw pcmpeqd pcmpgtb pcmpgtw pcmpgtd pmaddwd pmulhw pmullw pmulhuw pmuludq psllw pslld psllq psraw psrad
    psrlw psrld psrlq pslldq psrldq psubb psubw psubd psubq psubsb psubsw psubusb psubusw punpckhbw punpckhwd punpckhdq
    punpckhqdq punpcklbw punpcklwd punpckldq punpcklqdq pavgb pavgw pextrw pinsrw pmaxsw pmaxub pminsw pminub pmovmskb psadbw
    pshufw pshufd pshufhw pshuflw movntq movntdq movntps movntpd movdq2q movq2dq movdqa movdqu
    movaps movapd movups movupd movss movsd movhps movhpd movlps movlpd movhlps movlhps movmskps movmskpd
    addps addpd addss addsd subps subpd subss subsd mulps mulpd mulss mulsd divps divpd divss divsd sqrtps sqrtpd sqrtss sqrtsd
    rcpps rcpss rsqrtps rsqrtss minps minpd minss minsd maxps maxpd maxss maxsd andps andpd andnps andnpd orps orpd xorps xorpd
    comiss comisd ucomiss ucomisd shufps shufpd unpckhps unpckhpd unpcklps unpcklpd cmpps cmppd cmpss cmpsd
    cvtpi2ps cvtpi2pd cvtps2pi cvtpd2pi cvttps2pi cvttpd2pi cvtsi2ss cvtsi2sd cvtss2si cvtsd2si cvttss2si cvttsd2si
    cvtps2pd cvtpd2ps cvtss2sd cvtsd2ss cvtdq2ps cvtdq2pd cvtps2dq cvtpd2dq cvttps2dq cvttpd2dq
""".split())
ALLOWED |= {name + condition for name in ("set", "cmov") for condition in CONDITIONS}
ALLOWED |= {"cmp" + how + kind for how in "eq lt le unord neq nlt nle ord".split() for kind in ("ps", "pd", "ss", "sd")}
FEATURES = {}  # name: bit of enum vxv_cpu; these are allowed as well
AVX, AVX2 = 18, 19
for bit, names in {
        0: "addsubps addsubpd haddps haddpd hsubps hsubpd lddqu movddup movshdup movsldup fisttp",
        1: "pabsb pabsw pabsd palignr phaddw phaddd phaddsw phsubw phsubd phsubsw pmaddubsw pmulhrsw pshufb psignb psignw psignd",
        2: """blendps blendpd blendvps blendvpd dpps dppd extractps insertps movntdqa mpsadbw packusdw pblendvb pblendw pcmpeqq pextrb
              pextrd phminposuw pinsrb pinsrd pmaxsb pmaxsd pmaxud pmaxuw pminsb pminsd pminud pminuw pmovsxbw pmovsxbd pmovsxbq pmovsxwd
              pmovsxwq pmovsxdq pmovzxbw pmovzxbd pmovzxbq pmovzxwd pmovzxwq pmovzxdq pmuldq pmulld ptest roundps roundpd roundss
              roundsd""",
        3: "pcmpestri pcmpestrm pcmpistri pcmpistrm pcmpgtq crc32", 4: "popcnt", 5: "lahf sahf", 6: "cmpxchg8b", 7: "lzcnt",
        8: "tzcnt", 10: "movbe", 11: "aesdec aesdeclast aesenc aesenclast aesimc aeskeygenassist",
        12: "pclmulqdq pclmullqlqdq pclmulhqlqdq pclmullqhqdq pclmulhqhqdq",
        13: "sha1msg1 sha1msg2 sha1nexte sha1rnds4 sha256msg1 sha256msg2 sha256rnds2", 14: "adcx adox", 15: "rdrand", 16: "rdseed",
        17: "rdtsc"}.items():
    FEATURES.update((name, bit) for name in names.split())
ALLOWED |= set(FEATURES)

# With VEX: what SSE has, with v before it, and more. Names that SSE does not have, those of two instructions, and MMX's are left out.
WITHOUT_VEX = set("""cvtpi2ps cvtpi2pd cvtps2pi cvtpd2pi cvttps2pi cvttpd2pi movq2dq movdq2q movntq pshufw movnti movbe""".split())
VECTOR = {"v" + name for name in ALLOWED - WITHOUT_VEX if re.search(r"(?:ps|pd|ss|sd)$|^(?:p(?!ause|opcnt)|mpsad|mov[dqhl]|lddqu|aes|ldmxcsr|stmxcsr|"
                                                                    r"cvt|movs[hl]dup|movddup|movmsk|movnt)", name)}
VEX_AVX2 = set("""vpbroadcastb vpbroadcastw vpbroadcastd vpbroadcastq vpblendd vperm2i128 vinserti128 vextracti128 vpermd vpermq vpermps vpermpd
    vpsllvd vpsllvq vpsrlvd vpsrlvq vpsravd vpmaskmovd vpmaskmovq vbroadcasti128""".split())
VEX_AVX = VECTOR | set("""vbroadcastss vbroadcastsd vbroadcastf128 vextractf128 vinsertf128 vperm2f128 vpermilps vpermilpd vmaskmovps vmaskmovpd
    vtestps vtestpd vzeroall vzeroupper""".split())
PREDICATES = """eq lt le unord neq nlt nle ord eq_uq nge ngt false neq_oq ge gt true eq_os lt_oq le_oq unord_s neq_us nlt_uq nle_uq ord_s eq_us
    nge_uq ngt_uq false_os neq_os ge_oq gt_oq true_us""".split()
VEX_AVX |= {"vcmp" + how + kind for how in PREDICATES for kind in ("ps", "pd", "ss", "sd")}
VEX_FEATURES = {name: (AVX,) for name in VEX_AVX}
VEX_FEATURES.update({name: (AVX, AVX2) for name in VEX_AVX2})
VEX_FEATURES.update({"v" + name: (AVX, bit) for name, bit in FEATURES.items() if bit in (11, 12)})
VEX_FEATURES.update({f"vf{sign}{how}{order}{kind}": (AVX, 20) for sign in ("m", "nm") for how in ("add", "sub") for order in ("132", "213", "231")
                     for kind in ("ps", "pd", "ss", "sd")})
VEX_FEATURES.update({f"vfm{how}{order}{kind}": (AVX, 20) for how in ("addsub", "subadd") for order in ("132", "213", "231") for kind in ("ps", "pd")})
VEX_FEATURES.update({"vcvtph2ps": (AVX, 21), "vcvtps2ph": (AVX, 21)})
VEX_FEATURES.update({name: (8,) for name in "andn bextr blsi blsmsk blsr".split()})
VEX_FEATURES.update({name: (9,) for name in "bzhi mulx pdep pext rorx sarx shlx shrx".split()})
# VEX.W is 1 in these alone, where it says the size of an element; never where a general register is named.
VEX_WIDE = re.compile(r"vf.*(?:pd|sd)|vperm(?:q|pd)|vps[lr]lvq|vpmaskmovq")
LOCKABLE = set("add or adc sbb and sub xor xchg inc dec neg not bts btr btc xadd cmpxchg cmpxchg8b".split())

# ---- Registers that may be named (V08, V09)
LOW = "eax ecx edx ebx ebp esi edi".split()
HIGH = ["r8", "r9", "r10", "r14"]
ADDRESS_32 = set(LOW + [name + "d" for name in HIGH])
ADDRESS_64 = {"r" + name[1:] for name in LOW} | set(HIGH)
REGISTERS = ADDRESS_32 | set("ax cx dx bx bp si di al cl dl bl ah ch dh bh st".split()) | \
    {name + width for name in HIGH for width in "bw"} | {f"{kind}{i}" for kind in ("ymm", "xmm", "mm") for i in range(8)}
EXTENDED = {name + width for name in HIGH for width in ("", "b", "w", "d")}
ANY_REGISTER = re.compile(r"\b(?:[re]?(?:ax|cx|dx|bx|sp|bp|si|di|ip)|[abcd][hl]|[sb]pl|[sd]il|r(?:8|9|1\d)[bwd]?|[xyz]?mm\d+|st|k\d|"
                          r"bnd\d|[cd]r\d+|tr\d|[cdefgs]s|eiz|riz)\b")
MEMORY = re.compile(r"(?:(\w+) ptr )?(?:(\w\w):)?\[([^\]]*)\]")

# ---- Bytes: prefixes in the order of the contract (V03), sequences (V11 to V13)
PREFIXES = re.compile(rb"(\x65\x67)?(\xf0)?(\x66)?([\xf2\xf3])?([\x41-\x47])?(?![\x26\x2e\x36\x3e\x40-\x4f\x64-\x67\xf0\xf2\xf3])", re.S)
VEX = re.compile(rb"(\x65\x67)?(?:\xc5(.)|\xc4(.)(.))", re.S)
BRANCH = re.compile(rb"(?:(\xeb|[\x70-\x7f]|\x67\xe3)(.)|(\xe8|\xe9|\x0f[\x80-\x8f])(....))", re.S)
CONTEXT = re.compile(rb"(?:(?:\x45\x8b\x47|\x45\x8b\x4f|\x45\x8b\x57)[\x10\x14]|(\x41\xff\x67[\x00\x08]))")
TABLE_JUMP = re.compile(rb"(.+)\x4f\x8b\x9c\xc7\x00\x10\x00\x00\x4f\x8d\x1c\x1c\x41\xff([\xe3\xd3])", re.S)
LOAD_R8D = re.compile(r"mov r8d, (?:dword ptr gs:\[|\w+$|0x|\d|-)")
SI, DI, CX = b"\x89\xf6\x49\x8d\x74\x35\x00", b"\x89\xff\x49\x8d\x7c\x3d\x00", b"\x89\xc9"
STRING = re.compile(b"(" + re.escape(SI) + b")?(" + re.escape(DI) + b")?(" + re.escape(CX) + b")?" +
                    rb"(\x66)?([\xf2\xf3])?([\xa4-\xa7\xaa-\xaf])", re.S)
READS_SI, READS_DI = b"\xa4\xa5\xa6\xa7\xac\xad", b"\xa4\xa5\xa6\xa7\xaa\xab\xae\xaf"
COMPARISON = re.compile(rb"\x41\x89\xc9\x41\x8d\x88....\x48\x8d\x49\xff\x48\x0f\xc9\x67\xe3(.)\x44\x89\xc9", re.S)

# What a piece is: complaint ("" if none), CPU features, target relative to the piece's start or None, falls through?, a call?
Piece = collections.namedtuple("Piece", "why cpu target falls_through call")


def fine(cpu=0, target=None, falls_through=True, call=False, why=""):
    return Piece(why, cpu, target, falls_through, call)


def bad(why):
    return fine(why=why)


def address(inside, allowed):
    """Complaint about the bracket of a memory operand: base, index and number, no register but those allowed. eiz is llvm's "no index"."""
    for term in re.split(r" [+-] ", inside):
        term = re.sub(r"^[1248]\*", "", term)
        if term not in allowed | {"eiz", "riz"} and not re.fullmatch(r"-?\d+", term):
            return f"V08: {term} in an address"
    return ""


def operands(name, text, segment_prefix):
    """Complaint about the operands of one ordinary instruction."""
    only_address = name in ("lea", "nop")
    memory = list(MEMORY.finditer(text))
    if len(memory) > 1:
        return "V04: two memory operands"
    if memory and not only_address:
        _, segment, inside = memory[0].groups()
        if segment != "gs" or not segment_prefix:
            return "V06: memory access without gs"
        why = address(inside, ADDRESS_32)
    elif memory:
        if memory[0][2] or segment_prefix:
            return "V06: prefix without access"
        why = address(memory[0][3], ADDRESS_64)
    else:
        why = "V06: prefix without access" if segment_prefix else ""
    for register in ANY_REGISTER.findall(MEMORY.sub("", text)):
        if register not in REGISTERS:
            return f"V08: register {register}"
    return why


def number(register):
    """What VEX.vvvv has for a register of that name, or -1."""
    match = re.fullmatch(r"[xy]mm(\d+)|r(\d+)d", register)
    if match:
        return int(match[1] or match[2])
    return "eax ecx edx ebx esp ebp esi edi".split().index(register) if register in LOW else -1


def with_vex(code, text, match):
    """An instruction with a VEX prefix: no bit of the prefix is without a meaning that the text shows."""
    name, rest = text.split(" ", 1) if " " in text else (text, "")
    if name not in VEX_FEATURES:
        return bad("V04: VEX")
    why = operands(name, rest, match[1])
    if why:
        return bad(why)
    first, last = (match[2][0], match[2][0] & 0x7f) if match[2] else (match[3][0], match[4][0])
    extended = (~first >> 7 & 1) + (0 if match[2] else (~first >> 6 & 1) + (~first >> 5 & 1))
    words = re.findall(r"\b\w+\b", rest)
    third, wide, long = ~last >> 3 & 15, last >> 7 and not match[2], last >> 2 & 1
    if extended + (third > 7) != sum(word in EXTENDED for word in words):
        return bad("V09: VEX.RXB")
    if third and third not in map(number, re.findall(r"\b\w+\b", MEMORY.sub("", rest))):
        return bad("V09: VEX.vvvv")
    if wide and not VEX_WIDE.fullmatch(name):
        return bad("V04: VEX.W")
    if long and "ymm" not in rest and name != "vzeroall":
        return bad("V04: VEX.L")
    bits = set(VEX_FEATURES[name])
    integer = name.startswith("vp") and not name.startswith(("vpermil", "vperm2f", "vptest")) or name in ("vmpsadbw", "vmovntdqa")
    if long and integer or name.startswith("vbroadcasts") and "[" not in rest:
        bits.add(AVX2)
    return fine(sum(1 << bit for bit in bits))


def ordinary(code, text):
    """One instruction that is no branch and no part of a sequence."""
    match = VEX.match(code)
    if match:
        return with_vex(code, text, match)
    match = PREFIXES.match(code)
    if not match:
        return bad("V03: prefixes")
    segment_prefix, lock, _, _, rex = match.groups()
    words = text.split(" ", 1)
    if words[0] == "lock" and lock:
        words = words[1].split(" ", 1)
        if words[0] not in LOCKABLE or not re.match(r"\w+ ptr ", words[1] if len(words) > 1 else ""):
            return bad("V05: lock")
    elif lock:
        return bad("V05: lock that is not shown")
    name, rest = words[0], words[1] if len(words) > 1 else ""
    if name not in ALLOWED:
        return bad(f"V04: {name}")
    opcode = code[match.end():]
    if name == "nop" and opcode[:1] != b"\x90" and not (opcode[:2] == b"\x0f\x1f" and opcode[2] >> 3 & 7 == 0):
        return bad("V04: nop without a name of its own")
    why = operands(name, rest, segment_prefix)
    if why:
        return bad(why)
    named = sum(register in EXTENDED for register in re.findall(r"\b\w+\b", rest))
    if bin(rex[0] & 7).count("1") != named if rex else named:
        return bad("V09: REX")
    if name == "lea" and not re.match(r"(?:[er]\w+|r\d+[wd]|[abcd]x|[sd]i|bp), ", rest):
        return bad("V03: lea")
    cpu = 1 << FEATURES[name] if name in FEATURES else 0
    if name == "pextrw" and b"\x0f\x3a\x15" in code[:len(match[0]) + 3]:  # the form of SSE4.1, also with memory
        cpu = 1 << 2
    return fine(cpu, falls_through=name not in ("hlt", "ud2"))


def control(code, text):
    """Branches, context operands, ret: by their bytes; None if it is none of them."""
    if code == b"\xc3":
        return fine(falls_through=False) if text == "ret" else bad("V04: ret")
    match = BRANCH.fullmatch(code)
    if match:
        opcode, distance = match[1] or match[3], match[2] or match[4]
        target = len(code) + int.from_bytes(distance, "little", signed=True)
        expected = {b"\xeb": "jmp", b"\xe9": "jmp", b"\xe8": "call", b"\x67\xe3": "jecxz"}.get(opcode)
        if text.split()[0] not in ({expected} if expected else {"j" + condition for condition in CONDITIONS}):
            return bad("V04: branch")
        return fine(target=target, falls_through=expected not in ("jmp",), call=expected == "call")
    match = CONTEXT.fullmatch(code)
    if match:
        if not re.fullmatch(r"jmp qword ptr \[r15(?: \+ 8)?\]|mov r(?:8|9|10)d, dword ptr \[r15 \+ (?:16|20)\]", text):
            return bad("V10: context operand")
        return fine(falls_through=not match[1])
    return None


def sequence(code):
    """(what S1's load is, verdict) of a sequence; (None, None) if it is none."""
    match = TABLE_JUMP.fullmatch(code)
    if match:
        return match[1], fine(falls_through=match[2] == b"\xd3", call=match[2] == b"\xd3")
    match = STRING.fullmatch(code)
    if match:
        si, di, cx, _, rep, op = match.groups()
        if bool(si) != (op in READS_SI) or bool(di) != (op in READS_DI) or bool(cx) != bool(rep):
            return None, bad("V12")
        return None, fine(why="V12: 66 with bytes" if match[4] and op[0] & 1 == 0 else "")
    match = COMPARISON.fullmatch(code)
    if match:
        return None, fine(target=len(code) - 3 + int.from_bytes(match[1], "little", signed=True))
    return None, None


def judge_all(pieces):
    """{piece: Piece} for pieces of code (bytes)."""
    verdicts, ask = {}, {}
    for code in pieces:
        load, verdict = sequence(code)
        if load is not None:
            ask[load] = None
        if verdict is None:
            ask[code] = None
    names = list(ask)
    for code, listed in zip(names, llvm_text.instructions(names)):
        ask[code] = listed
    for code in pieces:
        load, verdict = sequence(code)
        if load is not None and (len(ask[load]) != 1 or ask[load][0][0] != len(load) or not LOAD_R8D.match(ask[load][0][1]) or
                                 (ordinary(load, ask[load][0][1]).why)):
            verdict = bad(f"V11: {ask[load]}")
        if verdict is None:
            if len(ask[code]) != 1 or ask[code][0][0] != len(code):
                verdict = bad(f"V02: length {len(code)}, but {ask[code]}")
            else:
                text = ask[code][0][1]
                verdict = control(code, text) or ordinary(code, text)
                if verdict.why:
                    verdict = verdict._replace(why=f"{verdict.why}: {text}")
        verdicts[code] = verdict
    return verdicts


class Judge:
    """Chunks, many at a time, so that llvm-objdump is started seldom; pieces that were met are remembered."""

    def __init__(self):
        self.known, self.chunks, self.pieces, self.failures = {}, 0, 0, 0

    def fail(self, record, why):
        self.failures += 1
        if self.failures <= 20:
            print(f"accepted, but {why}: {record[8][:record[0]].hex(' ')}  (at {record[1]}, entries {record[2]:x} {record[3]:x} "
                  f"{record[4]:x}, boundaries {record[5]:x})")

    def batch(self, records):
        cut = []
        for record in records:
            size, bits, code = record[0], record[5], record[8]
            starts = [i for i in range(size) if bits >> i & 1]
            if not starts or starts[0] or bits >> size:
                self.fail(record, "V02: no boundary at the start, or one behind the end")
                cut.append([])
                continue
            cut.append([(a, code[a:b]) for a, b in zip(starts, starts[1:] + [size])])
        unknown = {piece for chunk in cut for _, piece in chunk if piece not in self.known}
        if len(self.known) > 2000000:
            unknown = {piece for chunk in cut for _, piece in chunk}
            self.known.clear()
        self.known.update(judge_all(unknown))
        for record, chunk in zip(records, cut):
            self.chunks += 1
            self.pieces += len(chunk)
            if chunk:
                why = self.chunk(record, chunk)
                if why:
                    self.fail(record, why)

    def chunk(self, record, chunk):
        """Complaint about a chunk whose pieces are known."""
        size, offset, bits, cpu = record[0], record[1], record[5], 0
        entries = record[2] | record[3] << 64 | record[4] << 128
        if offset % 64 or not 0 < size <= 192 - offset:
            return "V01"
        for at, code in chunk:
            piece = self.known[code]
            if piece.why:
                return f"{piece.why} (at {at})"
            cpu |= piece.cpu
            if piece.target is not None:
                target = at + piece.target
                if 0 <= target < size:
                    if not bits >> target & 1:
                        return f"V14: branch at {at} to no boundary"
                elif not (0 <= target + offset < 192 and entries >> (target + offset) & 1):
                    return f"V14: branch at {at} to no entry"
        if piece.falls_through or piece.call:
            return "V16"
        if entries >> offset & ((1 << size) - 1) & ~bits:
            return "V15"
        return "" if cpu == record[6] else f"CPU features {record[6]:x}, by name {cpu:x}"


def judge_stream(stream):
    """The Judge that has seen all records of the stream."""
    judge = Judge()
    while True:
        data = stream.read(RECORD.size * BATCH)
        if not data:
            return judge
        if len(data) % RECORD.size:
            print("the sampler stopped in the middle of a record")
            judge.failures += 1
            return judge
        judge.batch(list(RECORD.iter_unpack(data)))


def main():
    if not llvm_text.tool():
        print("skipped: llvm-objdump is not installed")
        return 77
    if len(sys.argv) == 5 and sys.argv[1] == "--run":
        with subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE) as sampler:
            judge = judge_stream(sampler.stdout)
            if sampler.wait():
                judge.failures += 1
    elif len(sys.argv) == 1:
        judge = judge_stream(sys.stdin.buffer)
    else:
        sys.exit(__doc__.split("\n\n")[1])
    print(f"{judge.chunks} accepted chunks of {judge.pieces} instructions and sequences judged: {judge.failures} against the rules")
    return 1 if judge.failures or not judge.chunks else 0


if __name__ == "__main__":
    sys.exit(main())
