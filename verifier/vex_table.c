/*
 * The allow-list of instructions with a VEX prefix, as table.c, which explains the columns that are the same.
 *
 * COLUMNS of VEX, one row an encoding
 *   map    M1 0f, M2 0f 38, M3 0f 3a        pp   NP 66 F3 F2, as VEX.pp
 *   l      VEX.L: 0, 1, b both
 *   w      VEX.W: 0, 1, b both. Never 1 where a general register is named: that would be a 64-bit one
 *   v      what VEX.vvvv names: X xmm or ymm, G general register, n nothing (then it is 1111)
 *   imm    also R: a byte whose high four bits name a register of kind X
 *   cpu    also AES and CLMUL: those features with VEX, which is AVX as well
 *
 * Not here: gathers, which read at 64-bit sums of vector elements, and vmaskmovdqu, with its implicit rdi. AVX2's and
 * AVX's other masked loads and stores have an ordinary operand.
 */
#include "verifier/table.h"
#include "verifier/verifier.h"

#define REG_GV (VXV_REG8_RESERVED | VXV_REG8_NEW | VXV_REX_R)
#define REG_X (VXV_REG_RESERVED | VXV_REG8_RESERVED | VXV_REG8_NEW)
#define REG_i REG_X
#define RM_GV (VXV_RM8_RESERVED | VXV_RM8_NEW | VXV_REX_B)
#define RM_X (VXV_RM_RESERVED | VXV_RM8_RESERVED | VXV_RM8_NEW)
#define RM_n RM_X
#define FORM_RM (VXV_MODRM | VXV_REGISTER_FORM | VXV_MEMORY_FORM)
#define FORM_R (VXV_MODRM | VXV_REGISTER_FORM)
#define FORM_M (VXV_MODRM | VXV_MEMORY_FORM)
#define IMM_0 0u
#define IMM_B VXV_IMM1
#define IMM_R (VXV_IMM1 | VXV_VEX_IMM_X)
#define W_0 VXV_VEX_W0
#define W_1 VXV_VEX_W1
#define W_b (W_0 | W_1)
#define V_n VXV_VEX_NONE
#define V_X VXV_VEX_X
#define V_G VXV_VEX_G
#define CPU_BIT(bit) ((uint32_t)__builtin_ffs(bit) << 24)
#define CPU_AVX CPU_BIT(VXV_CPU_AVX)
#define CPU_AVX2 CPU_BIT(VXV_CPU_AVX2)
#define CPU_FMA CPU_BIT(VXV_CPU_FMA)
#define CPU_F16C CPU_BIT(VXV_CPU_F16C)
#define CPU_BMI1 CPU_BIT(VXV_CPU_BMI1)
#define CPU_BMI2 CPU_BIT(VXV_CPU_BMI2)
#define CPU_AES CPU_BIT(VXV_CPU_VEX_AES)
#define CPU_CLMUL CPU_BIT(VXV_CPU_VEX_PCLMULQDQ)
#define IMPL_o 0u
#define IMPL_c (2u << 29)
#define IMPL_ad (3u << 29)
#define IMPL_acd (4u << 29)
#define IMPL_d (6u << 29)

enum { M1, M2, M3 };
enum { PP_NP, PP_66, PP_F3, PP_F2 };
#define AT_0(map, pp, op, form) [map][pp][0][op] = (form)
#define AT_1(map, pp, op, form) [map][pp][1][op] = (form)
#define AT_b(map, pp, op, form) AT_0(map, pp, op, form), AT_1(map, pp, op, form)

#define PACK(w, v, reg, rm, form, imm, cpu, impl) \
    (W_##w | V_##v | REG_##reg | RM_##rm | FORM_##form | IMM_##imm | CPU_##cpu | IMPL_##impl)
#define VEX(map, pp, l, op, w, v, reg, rm, form, imm, cpu, impl) \
    AT_##l(map, PP_##pp, op, PACK(w, v, reg, rm, form, imm, cpu, impl))
/* Integer instructions: AVX for xmm, AVX2 for ymm. */
#define INTEGER(map, pp, op, v, form, imm)                     \
    VEX(map, pp, 0, op, 0, v, X, X, form, imm, AVX, o),        \
    VEX(map, pp, 1, op, 0, v, X, X, form, imm, AVX2, o)
#define DIGIT(map, pp, op, group) AT_b(map, PP_##pp, op, VXV_MODRM | VXV_GROUP | (uint32_t)(group) << 24)
/* A packed instruction for each of no prefix and 66. */
#define PACKED(l, op, v, form, imm)                                                                      \
    VEX(M1, NP, l, op, 0, v, X, X, form, imm, AVX, o), VEX(M1, 66, l, op, 0, v, X, X, form, imm, AVX, o)
#define SCALAR(op, v, form, imm)                                                                         \
    VEX(M1, F3, 0, op, 0, v, X, X, form, imm, AVX, o), VEX(M1, F2, 0, op, 0, v, X, X, form, imm, AVX, o)
/* FMA: from 96 to 9f, and the same at a6 and b6. */
#define FMA(op)                                                                                          \
    VEX(M2, 66, b, op + 0 ... op + 2, b, X, X, X, RM, 0, FMA, o), VEX(M2, 66, 0, op + 3, b, X, X, X, RM, 0, FMA, o), \
    VEX(M2, 66, b, op + 4, b, X, X, X, RM, 0, FMA, o), VEX(M2, 66, 0, op + 5, b, X, X, X, RM, 0, FMA, o),  \
    VEX(M2, 66, b, op + 6, b, X, X, X, RM, 0, FMA, o), VEX(M2, 66, 0, op + 7, b, X, X, X, RM, 0, FMA, o),  \
    VEX(M2, 66, b, op + 8, b, X, X, X, RM, 0, FMA, o), VEX(M2, 66, 0, op + 9, b, X, X, X, RM, 0, FMA, o)

const uint32_t vxv_vex_forms[3][4][2][256] = {
    /*  map pp  l  op    w  v  reg rm form imm cpu impl */
    /* 0f: moves */
    PACKED(b, 0x10 ... 0x11, n, RM, 0),            /* vmovup */
    AT_0(M1, PP_F3, 0x10 ... 0x11, PACK(0, X, X, X, RM, 0, AVX, o) | VXV_VEX_M_NONE), /* vmovss */
    AT_0(M1, PP_F2, 0x10 ... 0x11, PACK(0, X, X, X, RM, 0, AVX, o) | VXV_VEX_M_NONE), /* vmovsd */
    VEX(M1, NP, 0, 0x12, 0, X, X, X, RM, 0, AVX, o),  /* vmovlps vmovhlps */
    VEX(M1, 66, 0, 0x12, 0, X, X, X, M, 0, AVX, o),   /* vmovlpd */
    VEX(M1, F3, b, 0x12, 0, n, X, X, RM, 0, AVX, o),  /* vmovsldup */
    VEX(M1, F2, b, 0x12, 0, n, X, X, RM, 0, AVX, o),  /* vmovddup */
    PACKED(0, 0x13, n, M, 0),                      /* vmovlp, store */
    PACKED(b, 0x14 ... 0x15, X, RM, 0),            /* vunpck */
    VEX(M1, NP, 0, 0x16, 0, X, X, X, RM, 0, AVX, o),  /* vmovhps vmovlhps */
    VEX(M1, 66, 0, 0x16, 0, X, X, X, M, 0, AVX, o),   /* vmovhpd */
    VEX(M1, F3, b, 0x16, 0, n, X, X, RM, 0, AVX, o),  /* vmovshdup */
    PACKED(0, 0x17, n, M, 0),                      /* vmovhp, store */
    PACKED(b, 0x28 ... 0x29, n, RM, 0),            /* vmovap */
    PACKED(b, 0x2b, n, M, 0),                      /* vmovntp */
    VEX(M1, NP, b, 0x50, 0, n, GV, X, R, 0, AVX, o),  /* vmovmskps */
    VEX(M1, 66, b, 0x50, 0, n, GV, X, R, 0, AVX, o),  /* vmovmskpd */
    VEX(M1, 66, 0, 0x6e, 0, n, X, GV, RM, 0, AVX, o), /* vmovd */
    VEX(M1, 66, 0, 0x7e, 0, n, X, GV, RM, 0, AVX, o),
    VEX(M1, F3, 0, 0x7e, 0, n, X, X, RM, 0, AVX, o),  /* vmovq */
    VEX(M1, 66, 0, 0xd6, 0, n, X, X, RM, 0, AVX, o),
    VEX(M1, 66, b, 0x6f, 0, n, X, X, RM, 0, AVX, o),  /* vmovdqa */
    VEX(M1, F3, b, 0x6f, 0, n, X, X, RM, 0, AVX, o),  /* vmovdqu */
    VEX(M1, 66, b, 0x7f, 0, n, X, X, RM, 0, AVX, o),
    VEX(M1, F3, b, 0x7f, 0, n, X, X, RM, 0, AVX, o),
    VEX(M1, 66, 0, 0xd7, 0, n, GV, X, R, 0, AVX, o),  /* vpmovmskb */
    VEX(M1, 66, 1, 0xd7, 0, n, GV, X, R, 0, AVX2, o),
    VEX(M1, 66, b, 0xe7, 0, n, X, X, M, 0, AVX, o),   /* vmovntdq */
    VEX(M1, F2, b, 0xf0, 0, n, X, X, M, 0, AVX, o),   /* vlddqu */
    AT_b(M1, PP_NP, 0x77, W_0 | V_n | VXV_REGISTER_FORM | CPU_AVX), /* vzeroupper vzeroall */
    DIGIT(M1, NP, 0xae, VXV_VEX_0FAE),             /* vldmxcsr vstmxcsr */

    /* 0f: floating point */
    VEX(M1, F3, 0, 0x2a, 0, X, X, GV, RM, 0, AVX, o), /* vcvtsi2ss */
    VEX(M1, F2, 0, 0x2a, 0, X, X, GV, RM, 0, AVX, o),
    VEX(M1, F3, 0, 0x2c ... 0x2d, 0, n, GV, X, RM, 0, AVX, o), /* vcvttss2si vcvtss2si */
    VEX(M1, F2, 0, 0x2c ... 0x2d, 0, n, GV, X, RM, 0, AVX, o),
    PACKED(0, 0x2e ... 0x2f, n, RM, 0),            /* vucomis vcomis */
    PACKED(b, 0x51, n, RM, 0),                     /* vsqrtp */
    SCALAR(0x51, X, RM, 0),
    VEX(M1, NP, b, 0x52 ... 0x53, 0, n, X, X, RM, 0, AVX, o), /* vrsqrtps vrcpps */
    VEX(M1, F3, 0, 0x52 ... 0x53, 0, X, X, X, RM, 0, AVX, o),
    PACKED(b, 0x54 ... 0x59, X, RM, 0),            /* vandp vandnp vorp vxorp vaddp vmulp */
    SCALAR(0x58 ... 0x5a, X, RM, 0),               /* vadds vmuls vcvts2s */
    PACKED(b, 0x5a ... 0x5b, n, RM, 0),            /* vcvtps2pd vcvtpd2ps vcvtdq2ps vcvtps2dq */
    VEX(M1, F3, b, 0x5b, 0, n, X, X, RM, 0, AVX, o),  /* vcvttps2dq */
    PACKED(b, 0x5c ... 0x5f, X, RM, 0),            /* vsubp vminp vdivp vmaxp */
    SCALAR(0x5c ... 0x5f, X, RM, 0),
    VEX(M1, 66, b, 0x7c ... 0x7d, 0, X, X, X, RM, 0, AVX, o), /* vhaddpd vhsubpd */
    VEX(M1, F2, b, 0x7c ... 0x7d, 0, X, X, X, RM, 0, AVX, o),
    PACKED(b, 0xc2, X, RM, B),                     /* vcmpp */
    SCALAR(0xc2, X, RM, B),
    PACKED(b, 0xc6, X, RM, B),                     /* vshufp */
    VEX(M1, 66, b, 0xd0, 0, X, X, X, RM, 0, AVX, o),  /* vaddsubp */
    VEX(M1, F2, b, 0xd0, 0, X, X, X, RM, 0, AVX, o),
    VEX(M1, 66, b, 0xe6, 0, n, X, X, RM, 0, AVX, o),  /* vcvttpd2dq */
    VEX(M1, F3, b, 0xe6, 0, n, X, X, RM, 0, AVX, o),  /* vcvtdq2pd */
    VEX(M1, F2, b, 0xe6, 0, n, X, X, RM, 0, AVX, o),  /* vcvtpd2dq */

    /* 0f: integers */
    INTEGER(M1, 66, 0x60 ... 0x6d, X, RM, 0),      /* vpunpckl vpack vpcmpgt vpunpckh */
    INTEGER(M1, 66, 0x70, n, RM, B),               /* vpshufd */
    INTEGER(M1, F3, 0x70, n, RM, B),               /* vpshufhw */
    INTEGER(M1, F2, 0x70, n, RM, B),               /* vpshuflw */
    DIGIT(M1, 66, 0x71, VXV_VEX_0F71),             /* shifts by immediate; vvvv is the destination */
    DIGIT(M1, 66, 0x72, VXV_VEX_0F71),
    DIGIT(M1, 66, 0x73, VXV_VEX_0F73),
    INTEGER(M1, 66, 0x74 ... 0x76, X, RM, 0),      /* vpcmpeq */
    VEX(M1, 66, 0, 0xc4, 0, X, X, GV, RM, B, AVX, o), /* vpinsrw */
    VEX(M1, 66, 0, 0xc5, 0, n, GV, X, R, B, AVX, o),  /* vpextrw */
    INTEGER(M1, 66, 0xd1 ... 0xd5, X, RM, 0),      /* vpsrl vpaddq vpmullw */
    INTEGER(M1, 66, 0xd8 ... 0xe5, X, RM, 0),      /* vpsubus vpmin vpand vpaddus vpmax vpandn vpavg vpsra vpmulh */
    INTEGER(M1, 66, 0xe8 ... 0xef, X, RM, 0),      /* vpsubs vpmin vpor vpadds vpmax vpxor */
    INTEGER(M1, 66, 0xf1 ... 0xf6, X, RM, 0),      /* vpsll vpmuludq vpmaddwd vpsadbw */
    INTEGER(M1, 66, 0xf8 ... 0xfe, X, RM, 0),      /* vpsub vpadd */

    /* 0f 38 */
    INTEGER(M2, 66, 0x00 ... 0x0b, X, RM, 0),      /* vpshufb ... vpmulhrsw */
    VEX(M2, 66, b, 0x0c ... 0x0d, 0, X, X, X, RM, 0, AVX, o), /* vpermilp */
    VEX(M2, 66, b, 0x0e ... 0x0f, 0, n, X, X, RM, 0, AVX, o), /* vtestp */
    VEX(M2, 66, b, 0x13, 0, n, X, X, RM, 0, F16C, o), /* vcvtph2ps */
    VEX(M2, 66, 1, 0x16, 0, X, X, X, RM, 0, AVX2, o), /* vpermps */
    VEX(M2, 66, b, 0x17, 0, n, X, X, RM, 0, AVX, o),  /* vptest */
    AT_b(M2, PP_66, 0x18, PACK(0, n, X, X, RM, 0, AVX, o) | VXV_VEX_R_AVX2), /* vbroadcastss */
    AT_1(M2, PP_66, 0x19, PACK(0, n, X, X, RM, 0, AVX, o) | VXV_VEX_R_AVX2), /* vbroadcastsd */
    VEX(M2, 66, 1, 0x1a, 0, n, X, X, M, 0, AVX, o),   /* vbroadcastf128 */
    INTEGER(M2, 66, 0x1c ... 0x1e, n, RM, 0),      /* vpabs */
    INTEGER(M2, 66, 0x20 ... 0x25, n, RM, 0),      /* vpmovsx */
    INTEGER(M2, 66, 0x28 ... 0x29, X, RM, 0),      /* vpmuldq vpcmpeqq */
    INTEGER(M2, 66, 0x2a, n, M, 0),                /* vmovntdqa */
    INTEGER(M2, 66, 0x2b, X, RM, 0),               /* vpackusdw */
    VEX(M2, 66, b, 0x2c ... 0x2f, 0, X, X, X, M, 0, AVX, o), /* vmaskmovp */
    INTEGER(M2, 66, 0x30 ... 0x35, n, RM, 0),      /* vpmovzx */
    VEX(M2, 66, 1, 0x36, 0, X, X, X, RM, 0, AVX2, o), /* vpermd */
    INTEGER(M2, 66, 0x37 ... 0x40, X, RM, 0),      /* vpcmpgtq vpmin vpmax vpmulld */
    VEX(M2, 66, 0, 0x41, 0, n, X, X, RM, 0, AVX, o),  /* vphminposuw */
    VEX(M2, 66, b, 0x45, b, X, X, X, RM, 0, AVX2, o), /* vpsrlv */
    VEX(M2, 66, b, 0x46, 0, X, X, X, RM, 0, AVX2, o), /* vpsravd */
    VEX(M2, 66, b, 0x47, b, X, X, X, RM, 0, AVX2, o), /* vpsllv */
    VEX(M2, 66, b, 0x58 ... 0x59, 0, n, X, X, RM, 0, AVX2, o), /* vpbroadcastd vpbroadcastq */
    VEX(M2, 66, 1, 0x5a, 0, n, X, X, M, 0, AVX2, o),  /* vbroadcasti128 */
    VEX(M2, 66, b, 0x78 ... 0x79, 0, n, X, X, RM, 0, AVX2, o), /* vpbroadcastb vpbroadcastw */
    VEX(M2, 66, b, 0x8c, b, X, X, X, M, 0, AVX2, o),  /* vpmaskmov */
    VEX(M2, 66, b, 0x8e, b, X, X, X, M, 0, AVX2, o),
    FMA(0x96), FMA(0xa6), FMA(0xb6),
    VEX(M2, 66, 0, 0xdb, 0, n, X, X, RM, 0, AES, o),  /* vaesimc */
    VEX(M2, 66, 0, 0xdc ... 0xdf, 0, X, X, X, RM, 0, AES, o), /* vaesenc vaesenclast vaesdec vaesdeclast */
    VEX(M2, NP, 0, 0xf2, 0, G, GV, GV, RM, 0, BMI1, o), /* andn */
    DIGIT(M2, NP, 0xf3, VXV_VEX_0F38F3),           /* blsr blsmsk blsi; vvvv is the destination */
    VEX(M2, NP, 0, 0xf5, 0, G, GV, GV, RM, 0, BMI2, o), /* bzhi */
    VEX(M2, F3, 0, 0xf5, 0, G, GV, GV, RM, 0, BMI2, o), /* pext */
    VEX(M2, F2, 0, 0xf5, 0, G, GV, GV, RM, 0, BMI2, o), /* pdep */
    VEX(M2, F2, 0, 0xf6, 0, G, GV, GV, RM, 0, BMI2, d), /* mulx */
    VEX(M2, NP, 0, 0xf7, 0, G, GV, GV, RM, 0, BMI1, o), /* bextr */
    VEX(M2, 66, 0, 0xf7, 0, G, GV, GV, RM, 0, BMI2, o), /* shlx */
    VEX(M2, F3, 0, 0xf7, 0, G, GV, GV, RM, 0, BMI2, o), /* sarx */
    VEX(M2, F2, 0, 0xf7, 0, G, GV, GV, RM, 0, BMI2, o), /* shrx */

    /* 0f 3a */
    VEX(M3, 66, 1, 0x00 ... 0x01, 1, n, X, X, RM, B, AVX2, o), /* vpermq vpermpd */
    VEX(M3, 66, b, 0x02, 0, X, X, X, RM, B, AVX2, o), /* vpblendd */
    VEX(M3, 66, b, 0x04 ... 0x05, 0, n, X, X, RM, B, AVX, o), /* vpermilp */
    VEX(M3, 66, 1, 0x06, 0, X, X, X, RM, B, AVX, o),  /* vperm2f128 */
    VEX(M3, 66, b, 0x08 ... 0x09, 0, n, X, X, RM, B, AVX, o), /* vroundp */
    VEX(M3, 66, 0, 0x0a ... 0x0b, 0, X, X, X, RM, B, AVX, o), /* vrounds */
    VEX(M3, 66, b, 0x0c ... 0x0d, 0, X, X, X, RM, B, AVX, o), /* vblendp */
    INTEGER(M3, 66, 0x0e ... 0x0f, X, RM, B),      /* vpblendw vpalignr */
    VEX(M3, 66, 0, 0x14 ... 0x17, 0, n, X, GV, RM, B, AVX, o), /* vpextr vextractps */
    VEX(M3, 66, 1, 0x18, 0, X, X, X, RM, B, AVX, o),  /* vinsertf128 */
    VEX(M3, 66, 1, 0x19, 0, n, X, X, RM, B, AVX, o),  /* vextractf128 */
    VEX(M3, 66, b, 0x1d, 0, n, X, X, RM, B, F16C, o), /* vcvtps2ph */
    VEX(M3, 66, 0, 0x20, 0, X, X, GV, RM, B, AVX, o), /* vpinsrb */
    VEX(M3, 66, 0, 0x21, 0, X, X, X, RM, B, AVX, o),  /* vinsertps */
    VEX(M3, 66, 0, 0x22, 0, X, X, GV, RM, B, AVX, o), /* vpinsrd */
    VEX(M3, 66, 1, 0x38, 0, X, X, X, RM, B, AVX2, o), /* vinserti128 */
    VEX(M3, 66, 1, 0x39, 0, n, X, X, RM, B, AVX2, o), /* vextracti128 */
    VEX(M3, 66, b, 0x40, 0, X, X, X, RM, B, AVX, o),  /* vdpps */
    VEX(M3, 66, 0, 0x41, 0, X, X, X, RM, B, AVX, o),  /* vdppd */
    INTEGER(M3, 66, 0x42, X, RM, B),               /* vmpsadbw */
    VEX(M3, 66, 0, 0x44, 0, X, X, X, RM, B, CLMUL, o), /* vpclmulqdq */
    VEX(M3, 66, 1, 0x46, 0, X, X, X, RM, B, AVX2, o), /* vperm2i128 */
    VEX(M3, 66, b, 0x4a ... 0x4b, 0, X, X, X, RM, R, AVX, o), /* vblendvp */
    INTEGER(M3, 66, 0x4c, X, RM, R),               /* vpblendvb */
    VEX(M3, 66, 0, 0x60, 0, n, X, X, RM, B, AVX, ad), /* vpcmpestrm */
    VEX(M3, 66, 0, 0x61, 0, n, X, X, RM, B, AVX, acd), /* vpcmpestri */
    VEX(M3, 66, 0, 0x62, 0, n, X, X, RM, B, AVX, o),  /* vpcmpistrm */
    VEX(M3, 66, 0, 0x63, 0, n, X, X, RM, B, AVX, c),  /* vpcmpistri */
    VEX(M3, 66, 0, 0xdf, 0, n, X, X, RM, B, AES, o),  /* vaeskeygenassist */
    VEX(M3, F2, 0, 0xf0, 0, n, GV, GV, RM, B, BMI2, o), /* rorx */
};

/* By VEX.L and ModRM.reg. */
#define ROW_0(group, digit, form) [group][0][digit] = (form)
#define ROW_1(group, digit, form) [group][1][digit] = (form)
#define SHIFT(group, digit)                                       \
    ROW_0(group, digit, PACK(0, X, i, X, R, B, AVX, o)),          \
    ROW_1(group, digit, PACK(0, X, i, X, R, B, AVX2, o))

const uint32_t vxv_vex_groups[VXV_VEX_GROUP_COUNT][2][8] = {
    SHIFT(VXV_VEX_0F71, 2), SHIFT(VXV_VEX_0F71, 4), SHIFT(VXV_VEX_0F71, 6),
    SHIFT(VXV_VEX_0F73, 2), SHIFT(VXV_VEX_0F73, 3), SHIFT(VXV_VEX_0F73, 6), SHIFT(VXV_VEX_0F73, 7),
    ROW_0(VXV_VEX_0FAE, 2 ... 3, PACK(0, n, i, n, M, 0, AVX, o)),
    ROW_0(VXV_VEX_0F38F3, 1 ... 3, PACK(0, G, i, GV, RM, 0, BMI1, o)),
};
