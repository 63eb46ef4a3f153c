/*
 * The opcode table's rows with a VEX prefix (see optable.h, which includes this): maps 4, 5, 6 are VEX.0F, VEX.0F38 and VEX.0F3A.
 *
 *   form     also: VL0, VL1, VL: VEX.L is 0, 1, either and means it; VLIG: either, ignored. VW0, VW1: VEX.W is so; VWIG: ignored.
 *            Outside 64-bit mode W does not choose the size of a general register: those rows are VWIG.
 *   operands H: xmm or ymm in VEX.vvvv; B: general register there; L: register in the immediate. V, W, U are ymm where L is 1.
 *            Rows without H and B want 1111 in VEX.vvvv.
 */
#define AVX VX_CPU_AVX
#define AVX2 VX_CPU_AVX2
#define ANYLW (VL | VWIG)
#define XMM (VL0 | VWIG)
#define SCALAR (VLIG | VWIG)

/* Two rows: AVX for xmm, AVX2 for ymm. */
#define V_INT(map, prefix, op, more, name, operands, access, fw)                                           \
    R(map, prefix, op, VL0 | VWIG | more, name, operands, access, PASS, 0, fw, AVX)                          \
    R(map, prefix, op, VL1 | VWIG | more, name, operands, access, PASS, 0, fw, AVX2)
#define V_INT3(map, op, name) V_INT(map, P66, op, 0, name, "Vx,Hx,Wx", "wrr", 0)
#define V_INT2(map, op, name) V_INT(map, P66, op, 0, name, "Vx,Wx", "wr", 0)
#define V_ROW(map, prefix, op, form, name, operands, access) R(map, prefix, op, form, name, operands, access, PASS, 0, 0, AVX)
#define V_PS_PD(op, name, operands, access)                                                             \
    V_ROW(4, NP, op, ANYLW, name "ps", operands, access)                                                  \
    V_ROW(4, P66, op, ANYLW, name "pd", operands, access)
#define V_FLOAT(op, name)                                                                              \
    V_PS_PD(op, name, "Vx,Hx,Wx", "wrr")                                                                  \
    V_ROW(4, PF3, op, SCALAR, name "ss", "Vx,Hx,Wx", "wrr")                                                \
    V_ROW(4, PF2, op, SCALAR, name "sd", "Vx,Hx,Wx", "wrr")
#define V_IMM3(op, form, name) V_ROW(6, P66, op, form, name, "Vx,Hx,Wx,Ib", "wrr-")

/* ---- VEX.0F: moves ---- */
#define V_MOVE(prefix, op, name)                                                                       \
    V_ROW(4, prefix, op, ANYLW, name, "Vx,Wx", "wr")                                                      \
    V_ROW(4, prefix, op + 1, ANYLW, name, "Wx,Vx", "wr")
V_MOVE(NP, 0x10, "vmovups") V_MOVE(P66, 0x10, "vmovupd") V_MOVE(NP, 0x28, "vmovaps") V_MOVE(P66, 0x28, "vmovapd")
#define V_MOVE_SCALAR(prefix, name)                                                                     \
    V_ROW(4, prefix, 0x10, MEM | SCALAR, name, "Vx,M", "wr")                                               \
    V_ROW(4, prefix, 0x10, REG | SCALAR, name, "Vx,Hx,Ux", "wrr")                                          \
    V_ROW(4, prefix, 0x11, MEM | SCALAR, name, "M,Vx", "wr")                                               \
    V_ROW(4, prefix, 0x11, REG | SCALAR, name, "Ux,Hx,Vx", "wrr")
V_MOVE_SCALAR(PF3, "vmovss") V_MOVE_SCALAR(PF2, "vmovsd")
V_ROW(4, NP, 0x12, MEM | XMM, "vmovlps", "Vx,Hx,M", "wrr")
V_ROW(4, NP, 0x12, REG | XMM, "vmovhlps", "Vx,Hx,Ux", "wrr")
V_ROW(4, P66, 0x12, MEM | XMM, "vmovlpd", "Vx,Hx,M", "wrr")
V_ROW(4, PF3, 0x12, ANYLW, "vmovsldup", "Vx,Wx", "wr")
V_ROW(4, PF2, 0x12, ANYLW, "vmovddup", "Vx,Wx", "wr")
V_ROW(4, NP, 0x13, MEM | XMM, "vmovlps", "M,Vx", "wr")
V_ROW(4, P66, 0x13, MEM | XMM, "vmovlpd", "M,Vx", "wr")
V_PS_PD(0x14, "vunpckl", "Vx,Hx,Wx", "wrr") V_PS_PD(0x15, "vunpckh", "Vx,Hx,Wx", "wrr")
V_ROW(4, NP, 0x16, MEM | XMM, "vmovhps", "Vx,Hx,M", "wrr")
V_ROW(4, NP, 0x16, REG | XMM, "vmovlhps", "Vx,Hx,Ux", "wrr")
V_ROW(4, P66, 0x16, MEM | XMM, "vmovhpd", "Vx,Hx,M", "wrr")
V_ROW(4, PF3, 0x16, ANYLW, "vmovshdup", "Vx,Wx", "wr")
V_ROW(4, NP, 0x17, MEM | XMM, "vmovhps", "M,Vx", "wr")
V_ROW(4, P66, 0x17, MEM | XMM, "vmovhpd", "M,Vx", "wr")
V_ROW(4, NP, 0x2b, MEM | ANYLW, "vmovntps", "M,Vx", "wr")
V_ROW(4, P66, 0x2b, MEM | ANYLW, "vmovntpd", "M,Vx", "wr")
V_ROW(4, P66, 0x6e, XMM, "vmovd", "Vx,Ed", "wr")
V_ROW(4, P66, 0x7e, XMM, "vmovd", "Ed,Vx", "wr")
V_ROW(4, PF3, 0x7e, XMM, "vmovq", "Vx,Wx", "wr")
V_ROW(4, P66, 0xd6, XMM, "vmovq", "Wx,Vx", "wr")
V_ROW(4, P66, 0x6f, ANYLW, "vmovdqa", "Vx,Wx", "wr")
V_ROW(4, PF3, 0x6f, ANYLW, "vmovdqu", "Vx,Wx", "wr")
V_ROW(4, P66, 0x7f, ANYLW, "vmovdqa", "Wx,Vx", "wr")
V_ROW(4, PF3, 0x7f, ANYLW, "vmovdqu", "Wx,Vx", "wr")
V_ROW(4, P66, 0xe7, MEM | ANYLW, "vmovntdq", "M,Vx", "wr")
V_ROW(4, PF2, 0xf0, MEM | ANYLW, "vlddqu", "Vx,M", "wr")
V_ROW(4, NP, 0x50, REG | ANYLW, "vmovmskps", "Gd,Ux", "wr")
V_ROW(4, P66, 0x50, REG | ANYLW, "vmovmskpd", "Gd,Ux", "wr")
V_INT(4, P66, 0xd7, REG, "vpmovmskb", "Gd,Ux", "wr", 0)
V_ROW(4, P66, 0xf7, REG | XMM, "vmaskmovdqu", "Vx,Ux", "rr")
V_ROW(4, NP, 0x77, VL0 | VWIG, "vzeroupper", "", "")
V_ROW(4, NP, 0x77, VL1 | VWIG, "vzeroall", "", "")
V_ROW(4, NP, 0xae, DM(2) | XMM, "vldmxcsr", "M", "r")
V_ROW(4, NP, 0xae, DM(3) | XMM, "vstmxcsr", "M", "w")

/* ---- VEX.0F: floating point ---- */
V_FLOAT(0x58, "vadd") V_FLOAT(0x59, "vmul") V_FLOAT(0x5c, "vsub") V_FLOAT(0x5d, "vmin") V_FLOAT(0x5e, "vdiv") V_FLOAT(0x5f, "vmax")
V_PS_PD(0x51, "vsqrt", "Vx,Wx", "wr")
V_ROW(4, PF3, 0x51, SCALAR, "vsqrtss", "Vx,Hx,Wx", "wrr")
V_ROW(4, PF2, 0x51, SCALAR, "vsqrtsd", "Vx,Hx,Wx", "wrr")
V_ROW(4, NP, 0x52, ANYLW, "vrsqrtps", "Vx,Wx", "wr")
V_ROW(4, PF3, 0x52, SCALAR, "vrsqrtss", "Vx,Hx,Wx", "wrr")
V_ROW(4, NP, 0x53, ANYLW, "vrcpps", "Vx,Wx", "wr")
V_ROW(4, PF3, 0x53, SCALAR, "vrcpss", "Vx,Hx,Wx", "wrr")
V_PS_PD(0x54, "vand", "Vx,Hx,Wx", "wrr") V_PS_PD(0x55, "vandn", "Vx,Hx,Wx", "wrr")
V_PS_PD(0x56, "vor", "Vx,Hx,Wx", "wrr") V_PS_PD(0x57, "vxor", "Vx,Hx,Wx", "wrr")
R(4, NP, 0x2e, SCALAR, "vucomiss", "Vx,Wx", "rr", PASS, 0, ALL, AVX)
R(4, P66, 0x2e, SCALAR, "vucomisd", "Vx,Wx", "rr", PASS, 0, ALL, AVX)
R(4, NP, 0x2f, SCALAR, "vcomiss", "Vx,Wx", "rr", PASS, 0, ALL, AVX)
R(4, P66, 0x2f, SCALAR, "vcomisd", "Vx,Wx", "rr", PASS, 0, ALL, AVX)
V_ROW(4, NP, 0x5a, ANYLW, "vcvtps2pd", "Vx,Wx", "wr")
V_ROW(4, P66, 0x5a, ANYLW, "vcvtpd2ps", "Vx,Wx", "wr")
V_ROW(4, PF3, 0x5a, SCALAR, "vcvtss2sd", "Vx,Hx,Wx", "wrr")
V_ROW(4, PF2, 0x5a, SCALAR, "vcvtsd2ss", "Vx,Hx,Wx", "wrr")
V_ROW(4, NP, 0x5b, ANYLW, "vcvtdq2ps", "Vx,Wx", "wr")
V_ROW(4, P66, 0x5b, ANYLW, "vcvtps2dq", "Vx,Wx", "wr")
V_ROW(4, PF3, 0x5b, ANYLW, "vcvttps2dq", "Vx,Wx", "wr")
V_ROW(4, P66, 0xe6, ANYLW, "vcvttpd2dq", "Vx,Wx", "wr")
V_ROW(4, PF3, 0xe6, ANYLW, "vcvtdq2pd", "Vx,Wx", "wr")
V_ROW(4, PF2, 0xe6, ANYLW, "vcvtpd2dq", "Vx,Wx", "wr")
V_ROW(4, PF3, 0x2a, SCALAR, "vcvtsi2ss", "Vx,Hx,Ed", "wrr")
V_ROW(4, PF2, 0x2a, SCALAR, "vcvtsi2sd", "Vx,Hx,Ed", "wrr")
V_ROW(4, PF3, 0x2c, SCALAR, "vcvttss2si", "Gd,Wx", "wr")
V_ROW(4, PF2, 0x2c, SCALAR, "vcvttsd2si", "Gd,Wx", "wr")
V_ROW(4, PF3, 0x2d, SCALAR, "vcvtss2si", "Gd,Wx", "wr")
V_ROW(4, PF2, 0x2d, SCALAR, "vcvtsd2si", "Gd,Wx", "wr")
V_ROW(4, P66, 0x7c, ANYLW, "vhaddpd", "Vx,Hx,Wx", "wrr")
V_ROW(4, PF2, 0x7c, ANYLW, "vhaddps", "Vx,Hx,Wx", "wrr")
V_ROW(4, P66, 0x7d, ANYLW, "vhsubpd", "Vx,Hx,Wx", "wrr")
V_ROW(4, PF2, 0x7d, ANYLW, "vhsubps", "Vx,Hx,Wx", "wrr")
V_ROW(4, P66, 0xd0, ANYLW, "vaddsubpd", "Vx,Hx,Wx", "wrr")
V_ROW(4, PF2, 0xd0, ANYLW, "vaddsubps", "Vx,Hx,Wx", "wrr")
V_PS_PD(0xc2, "vcmp", "Vx,Hx,Wx,Ib", "wrr-")
V_ROW(4, PF3, 0xc2, SCALAR, "vcmpss", "Vx,Hx,Wx,Ib", "wrr-")
V_ROW(4, PF2, 0xc2, SCALAR, "vcmpsd", "Vx,Hx,Wx,Ib", "wrr-")
V_PS_PD(0xc6, "vshuf", "Vx,Hx,Wx,Ib", "wrr-")

/* ---- VEX.0F: integers ---- */
V_INT3(4, 0x60, "vpunpcklbw") V_INT3(4, 0x61, "vpunpcklwd") V_INT3(4, 0x62, "vpunpckldq") V_INT3(4, 0x63, "vpacksswb")
V_INT3(4, 0x64, "vpcmpgtb") V_INT3(4, 0x65, "vpcmpgtw") V_INT3(4, 0x66, "vpcmpgtd") V_INT3(4, 0x67, "vpackuswb")
V_INT3(4, 0x68, "vpunpckhbw") V_INT3(4, 0x69, "vpunpckhwd") V_INT3(4, 0x6a, "vpunpckhdq") V_INT3(4, 0x6b, "vpackssdw")
V_INT3(4, 0x6c, "vpunpcklqdq") V_INT3(4, 0x6d, "vpunpckhqdq")
V_INT(4, P66, 0x70, 0, "vpshufd", "Vx,Wx,Ib", "wr-", 0)
V_INT(4, PF3, 0x70, 0, "vpshufhw", "Vx,Wx,Ib", "wr-", 0)
V_INT(4, PF2, 0x70, 0, "vpshuflw", "Vx,Wx,Ib", "wr-", 0)
#define V_SHIFT(op, digit, name) V_INT(4, P66, op, DR(digit), name, "Hx,Ux,Ib", "wr-", 0)
V_SHIFT(0x71, 2, "vpsrlw") V_SHIFT(0x71, 4, "vpsraw") V_SHIFT(0x71, 6, "vpsllw")
V_SHIFT(0x72, 2, "vpsrld") V_SHIFT(0x72, 4, "vpsrad") V_SHIFT(0x72, 6, "vpslld")
V_SHIFT(0x73, 2, "vpsrlq") V_SHIFT(0x73, 3, "vpsrldq") V_SHIFT(0x73, 6, "vpsllq") V_SHIFT(0x73, 7, "vpslldq")
V_INT3(4, 0x74, "vpcmpeqb") V_INT3(4, 0x75, "vpcmpeqw") V_INT3(4, 0x76, "vpcmpeqd")
V_ROW(4, P66, 0xc4, XMM, "vpinsrw", "Vx,Hx,Ed,Ib", "wrr-")
V_ROW(4, P66, 0xc5, REG | XMM, "vpextrw", "Gd,Ux,Ib", "wr-")
V_INT3(4, 0xd1, "vpsrlw") V_INT3(4, 0xd2, "vpsrld") V_INT3(4, 0xd3, "vpsrlq") V_INT3(4, 0xd4, "vpaddq") V_INT3(4, 0xd5, "vpmullw")
V_INT3(4, 0xd8, "vpsubusb") V_INT3(4, 0xd9, "vpsubusw") V_INT3(4, 0xda, "vpminub") V_INT3(4, 0xdb, "vpand")
V_INT3(4, 0xdc, "vpaddusb") V_INT3(4, 0xdd, "vpaddusw") V_INT3(4, 0xde, "vpmaxub") V_INT3(4, 0xdf, "vpandn")
V_INT3(4, 0xe0, "vpavgb") V_INT3(4, 0xe1, "vpsraw") V_INT3(4, 0xe2, "vpsrad") V_INT3(4, 0xe3, "vpavgw")
V_INT3(4, 0xe4, "vpmulhuw") V_INT3(4, 0xe5, "vpmulhw") V_INT3(4, 0xe8, "vpsubsb") V_INT3(4, 0xe9, "vpsubsw")
V_INT3(4, 0xea, "vpminsw") V_INT3(4, 0xeb, "vpor") V_INT3(4, 0xec, "vpaddsb") V_INT3(4, 0xed, "vpaddsw")
V_INT3(4, 0xee, "vpmaxsw") V_INT3(4, 0xef, "vpxor") V_INT3(4, 0xf1, "vpsllw") V_INT3(4, 0xf2, "vpslld") V_INT3(4, 0xf3, "vpsllq")
V_INT3(4, 0xf4, "vpmuludq") V_INT3(4, 0xf5, "vpmaddwd") V_INT3(4, 0xf6, "vpsadbw") V_INT3(4, 0xf8, "vpsubb") V_INT3(4, 0xf9, "vpsubw")
V_INT3(4, 0xfa, "vpsubd") V_INT3(4, 0xfb, "vpsubq") V_INT3(4, 0xfc, "vpaddb") V_INT3(4, 0xfd, "vpaddw") V_INT3(4, 0xfe, "vpaddd")

/* ---- VEX.0F38 ---- */
V_INT3(5, 0x00, "vpshufb") V_INT3(5, 0x01, "vphaddw") V_INT3(5, 0x02, "vphaddd") V_INT3(5, 0x03, "vphaddsw")
V_INT3(5, 0x04, "vpmaddubsw") V_INT3(5, 0x05, "vphsubw") V_INT3(5, 0x06, "vphsubd") V_INT3(5, 0x07, "vphsubsw")
V_INT3(5, 0x08, "vpsignb") V_INT3(5, 0x09, "vpsignw") V_INT3(5, 0x0a, "vpsignd") V_INT3(5, 0x0b, "vpmulhrsw")
V_ROW(5, P66, 0x0c, VL | VW0, "vpermilps", "Vx,Hx,Wx", "wrr")
V_ROW(5, P66, 0x0d, VL | VW0, "vpermilpd", "Vx,Hx,Wx", "wrr")
R(5, P66, 0x0e, VL | VW0, "vtestps", "Vx,Wx", "rr", PASS, 0, ALL, AVX)
R(5, P66, 0x0f, VL | VW0, "vtestpd", "Vx,Wx", "rr", PASS, 0, ALL, AVX)
R(5, P66, 0x13, VL | VW0, "vcvtph2ps", "Vx,Wx", "wr", PASS, 0, 0, AVX | VX_CPU_F16C)
R(5, P66, 0x16, VL1 | VW0, "vpermps", "Vx,Hx,Wx", "wrr", PASS, 0, 0, AVX2)
R(5, P66, 0x17, ANYLW, "vptest", "Vx,Wx", "rr", PASS, 0, ALL, AVX)
V_ROW(5, P66, 0x18, MEM | VL | VW0, "vbroadcastss", "Vx,M", "wr")
R(5, P66, 0x18, REG | VL | VW0, "vbroadcastss", "Vx,Ux", "wr", PASS, 0, 0, AVX2)
V_ROW(5, P66, 0x19, MEM | VL1 | VW0, "vbroadcastsd", "Vx,M", "wr")
R(5, P66, 0x19, REG | VL1 | VW0, "vbroadcastsd", "Vx,Ux", "wr", PASS, 0, 0, AVX2)
V_ROW(5, P66, 0x1a, MEM | VL1 | VW0, "vbroadcastf128", "Vx,M", "wr")
V_INT2(5, 0x1c, "vpabsb") V_INT2(5, 0x1d, "vpabsw") V_INT2(5, 0x1e, "vpabsd")
V_INT2(5, 0x20, "vpmovsxbw") V_INT2(5, 0x21, "vpmovsxbd") V_INT2(5, 0x22, "vpmovsxbq") V_INT2(5, 0x23, "vpmovsxwd")
V_INT2(5, 0x24, "vpmovsxwq") V_INT2(5, 0x25, "vpmovsxdq") V_INT3(5, 0x28, "vpmuldq") V_INT3(5, 0x29, "vpcmpeqq")
V_INT(5, P66, 0x2a, MEM, "vmovntdqa", "Vx,M", "wr", 0)
V_INT3(5, 0x2b, "vpackusdw")
V_ROW(5, P66, 0x2c, MEM | VL | VW0, "vmaskmovps", "Vx,Hx,M", "wrr")
V_ROW(5, P66, 0x2d, MEM | VL | VW0, "vmaskmovpd", "Vx,Hx,M", "wrr")
V_ROW(5, P66, 0x2e, MEM | VL | VW0, "vmaskmovps", "M,Hx,Vx", "wrr")
V_ROW(5, P66, 0x2f, MEM | VL | VW0, "vmaskmovpd", "M,Hx,Vx", "wrr")
V_INT2(5, 0x30, "vpmovzxbw") V_INT2(5, 0x31, "vpmovzxbd") V_INT2(5, 0x32, "vpmovzxbq") V_INT2(5, 0x33, "vpmovzxwd")
V_INT2(5, 0x34, "vpmovzxwq") V_INT2(5, 0x35, "vpmovzxdq")
R(5, P66, 0x36, VL1 | VW0, "vpermd", "Vx,Hx,Wx", "wrr", PASS, 0, 0, AVX2)
V_INT3(5, 0x37, "vpcmpgtq") V_INT3(5, 0x38, "vpminsb") V_INT3(5, 0x39, "vpminsd") V_INT3(5, 0x3a, "vpminuw") V_INT3(5, 0x3b, "vpminud")
V_INT3(5, 0x3c, "vpmaxsb") V_INT3(5, 0x3d, "vpmaxsd") V_INT3(5, 0x3e, "vpmaxuw") V_INT3(5, 0x3f, "vpmaxud") V_INT3(5, 0x40, "vpmulld")
V_ROW(5, P66, 0x41, XMM, "vphminposuw", "Vx,Wx", "wr")
#define V_AVX2(op, form, name, operands, access) R(5, P66, op, form, name, operands, access, PASS, 0, 0, AVX2)
V_AVX2(0x45, VL | VW0, "vpsrlvd", "Vx,Hx,Wx", "wrr") V_AVX2(0x45, VL | VW1, "vpsrlvq", "Vx,Hx,Wx", "wrr")
V_AVX2(0x46, VL | VW0, "vpsravd", "Vx,Hx,Wx", "wrr")
V_AVX2(0x47, VL | VW0, "vpsllvd", "Vx,Hx,Wx", "wrr") V_AVX2(0x47, VL | VW1, "vpsllvq", "Vx,Hx,Wx", "wrr")
V_AVX2(0x58, VL | VW0, "vpbroadcastd", "Vx,Wx", "wr") V_AVX2(0x59, VL | VW0, "vpbroadcastq", "Vx,Wx", "wr")
V_AVX2(0x5a, MEM | VL1 | VW0, "vbroadcasti128", "Vx,M", "wr")
V_AVX2(0x78, VL | VW0, "vpbroadcastb", "Vx,Wx", "wr") V_AVX2(0x79, VL | VW0, "vpbroadcastw", "Vx,Wx", "wr")
V_AVX2(0x8c, MEM | VL | VW0, "vpmaskmovd", "Vx,Hx,M", "wrr") V_AVX2(0x8c, MEM | VL | VW1, "vpmaskmovq", "Vx,Hx,M", "wrr")
V_AVX2(0x8e, MEM | VL | VW0, "vpmaskmovd", "M,Hx,Vx", "wrr") V_AVX2(0x8e, MEM | VL | VW1, "vpmaskmovq", "M,Hx,Vx", "wrr")
#define V_GATHER(op, name0, name1)                                                                     \
    R(5, P66, op, MEM | VL | VW0, name0, "Vx,M,Hx", "xrx", GATHER, 0, 0, AVX2)                                \
    R(5, P66, op, MEM | VL | VW1, name1, "Vx,M,Hx", "xrx", GATHER, 0, 0, AVX2)
V_GATHER(0x90, "vpgatherdd", "vpgatherdq") V_GATHER(0x91, "vpgatherqd", "vpgatherqq")
V_GATHER(0x92, "vgatherdps", "vgatherdpd") V_GATHER(0x93, "vgatherqps", "vgatherqpd")
#define V_FMA(op, form, name, suffix0, suffix1)                                                         \
    R(5, P66, op, form | VW0, name suffix0, "Vx,Hx,Wx", "xrr", PASS, 0, 0, AVX | VX_CPU_FMA)                   \
    R(5, P66, op, form | VW1, name suffix1, "Vx,Hx,Wx", "xrr", PASS, 0, 0, AVX | VX_CPU_FMA)
#define V_FMAS(base, order)                                                                            \
    V_FMA(base + 0x6, VL, "vfmaddsub" order, "ps", "pd") V_FMA(base + 0x7, VL, "vfmsubadd" order, "ps", "pd")    \
    V_FMA(base + 0x8, VL, "vfmadd" order, "ps", "pd") V_FMA(base + 0x9, VLIG, "vfmadd" order, "ss", "sd")        \
    V_FMA(base + 0xa, VL, "vfmsub" order, "ps", "pd") V_FMA(base + 0xb, VLIG, "vfmsub" order, "ss", "sd")        \
    V_FMA(base + 0xc, VL, "vfnmadd" order, "ps", "pd") V_FMA(base + 0xd, VLIG, "vfnmadd" order, "ss", "sd")      \
    V_FMA(base + 0xe, VL, "vfnmsub" order, "ps", "pd") V_FMA(base + 0xf, VLIG, "vfnmsub" order, "ss", "sd")
V_FMAS(0x90, "132") V_FMAS(0xa0, "213") V_FMAS(0xb0, "231")
#define V_AES(map, op, name, operands, access) R(map, P66, op, XMM, name, operands, access, PASS, 0, 0, AVX | VX_CPU_AES)
V_AES(5, 0xdb, "vaesimc", "Vx,Wx", "wr") V_AES(5, 0xdc, "vaesenc", "Vx,Hx,Wx", "wrr") V_AES(5, 0xdd, "vaesenclast", "Vx,Hx,Wx", "wrr")
V_AES(5, 0xde, "vaesdec", "Vx,Hx,Wx", "wrr") V_AES(5, 0xdf, "vaesdeclast", "Vx,Hx,Wx", "wrr")

/* BMI: general registers, no AVX. */
#define V_BMI(map, prefix, op, form, name, operands, access, fr, fw, number)                              \
    R(map, prefix, op, XMM | form, name, operands, access, PASS, fr, fw, VX_CPU_BMI##number)
V_BMI(5, NP, 0xf2, 0, "andn", "Gd,Bd,Ed", "wrr", 0, C | Z | S | O, 1)
V_BMI(5, NP, 0xf3, D(1), "blsr", "Bd,Ed", "wr", 0, C | Z | S | O, 1)
V_BMI(5, NP, 0xf3, D(2), "blsmsk", "Bd,Ed", "wr", 0, C | Z | S | O, 1)
V_BMI(5, NP, 0xf3, D(3), "blsi", "Bd,Ed", "wr", 0, C | Z | S | O, 1)
V_BMI(5, NP, 0xf7, 0, "bextr", "Gd,Ed,Bd", "wrr", 0, C | Z | O, 1)
V_BMI(5, NP, 0xf5, 0, "bzhi", "Gd,Ed,Bd", "wrr", 0, C | Z | S | O, 2)
V_BMI(5, PF3, 0xf5, 0, "pext", "Gd,Bd,Ed", "wrr", 0, 0, 2)
V_BMI(5, PF2, 0xf5, 0, "pdep", "Gd,Bd,Ed", "wrr", 0, 0, 2)
V_BMI(5, PF2, 0xf6, 0, "mulx", "Gd,Bd,Ed", "wwr", 0, 0, 2)
V_BMI(5, P66, 0xf7, 0, "shlx", "Gd,Ed,Bd", "wrr", 0, 0, 2)
V_BMI(5, PF3, 0xf7, 0, "sarx", "Gd,Ed,Bd", "wrr", 0, 0, 2)
V_BMI(5, PF2, 0xf7, 0, "shrx", "Gd,Ed,Bd", "wrr", 0, 0, 2)
V_BMI(6, PF2, 0xf0, 0, "rorx", "Gd,Ed,Ib", "wr-", 0, 0, 2)

/* ---- VEX.0F3A ---- */
R(6, P66, 0x00, VL1 | VW1, "vpermq", "Vx,Wx,Ib", "wr-", PASS, 0, 0, AVX2)
R(6, P66, 0x01, VL1 | VW1, "vpermpd", "Vx,Wx,Ib", "wr-", PASS, 0, 0, AVX2)
R(6, P66, 0x02, VL | VW0, "vpblendd", "Vx,Hx,Wx,Ib", "wrr-", PASS, 0, 0, AVX2)
V_ROW(6, P66, 0x04, VL | VW0, "vpermilps", "Vx,Wx,Ib", "wr-")
V_ROW(6, P66, 0x05, VL | VW0, "vpermilpd", "Vx,Wx,Ib", "wr-")
V_IMM3(0x06, VL1 | VW0, "vperm2f128")
V_ROW(6, P66, 0x08, ANYLW, "vroundps", "Vx,Wx,Ib", "wr-")
V_ROW(6, P66, 0x09, ANYLW, "vroundpd", "Vx,Wx,Ib", "wr-")
V_IMM3(0x0a, SCALAR, "vroundss") V_IMM3(0x0b, SCALAR, "vroundsd") V_IMM3(0x0c, ANYLW, "vblendps") V_IMM3(0x0d, ANYLW, "vblendpd")
V_INT(6, P66, 0x0e, 0, "vpblendw", "Vx,Hx,Wx,Ib", "wrr-", 0)
V_INT(6, P66, 0x0f, 0, "vpalignr", "Vx,Hx,Wx,Ib", "wrr-", 0)
V_ROW(6, P66, 0x14, XMM, "vpextrb", "Ed,Vx,Ib", "wr-")
V_ROW(6, P66, 0x15, XMM, "vpextrw", "Ed,Vx,Ib", "wr-")
V_ROW(6, P66, 0x16, VL0 | VW0, "vpextrd", "Ed,Vx,Ib", "wr-")
V_ROW(6, P66, 0x17, XMM, "vextractps", "Ed,Vx,Ib", "wr-")
V_IMM3(0x18, VL1 | VW0, "vinsertf128")
V_ROW(6, P66, 0x19, VL1 | VW0, "vextractf128", "Wx,Vx,Ib", "wr-")
R(6, P66, 0x1d, VL | VW0, "vcvtps2ph", "Wx,Vx,Ib", "wr-", PASS, 0, 0, AVX | VX_CPU_F16C)
V_ROW(6, P66, 0x20, XMM, "vpinsrb", "Vx,Hx,Ed,Ib", "wrr-")
V_IMM3(0x21, XMM, "vinsertps")
V_ROW(6, P66, 0x22, VL0 | VW0, "vpinsrd", "Vx,Hx,Ed,Ib", "wrr-")
R(6, P66, 0x38, VL1 | VW0, "vinserti128", "Vx,Hx,Wx,Ib", "wrr-", PASS, 0, 0, AVX2)
R(6, P66, 0x39, VL1 | VW0, "vextracti128", "Wx,Vx,Ib", "wr-", PASS, 0, 0, AVX2)
V_IMM3(0x40, ANYLW, "vdpps") V_IMM3(0x41, XMM, "vdppd")
V_INT(6, P66, 0x42, 0, "vmpsadbw", "Vx,Hx,Wx,Ib", "wrr-", 0)
R(6, P66, 0x44, XMM, "vpclmulqdq", "Vx,Hx,Wx,Ib", "wrr-", PASS, 0, 0, AVX | VX_CPU_PCLMULQDQ)
R(6, P66, 0x46, VL1 | VW0, "vperm2i128", "Vx,Hx,Wx,Ib", "wrr-", PASS, 0, 0, AVX2)
V_ROW(6, P66, 0x4a, VL | VW0, "vblendvps", "Vx,Hx,Wx,Lx", "wrrr")
V_ROW(6, P66, 0x4b, VL | VW0, "vblendvpd", "Vx,Hx,Wx,Lx", "wrrr")
R(6, P66, 0x4c, VL0 | VW0, "vpblendvb", "Vx,Hx,Wx,Lx", "wrrr", PASS, 0, 0, AVX)
R(6, P66, 0x4c, VL1 | VW0, "vpblendvb", "Vx,Hx,Wx,Lx", "wrrr", PASS, 0, 0, AVX2)
R(6, P66, 0x60, XMM, "vpcmpestrm", "Vx,Wx,Ib", "rr-", PASS, 0, ALL, AVX)
R(6, P66, 0x61, XMM, "vpcmpestri", "Vx,Wx,Ib", "rr-", PASS, 0, ALL, AVX)
R(6, P66, 0x62, XMM, "vpcmpistrm", "Vx,Wx,Ib", "rr-", PASS, 0, ALL, AVX)
R(6, P66, 0x63, XMM, "vpcmpistri", "Vx,Wx,Ib", "rr-", PASS, 0, ALL, AVX)
V_AES(6, 0xdf, "vaeskeygenassist", "Vx,Wx,Ib", "wr-")

#undef AVX
#undef AVX2
#undef ANYLW
#undef XMM
#undef SCALAR
