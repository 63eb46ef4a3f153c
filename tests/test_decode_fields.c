/*
 * What the guest decoder says about single instructions beyond length and name: normal form,
 * access to the operands, addresses, immediates, flags, prefixes and limits. One line a case:
 * bytes, then the fields that are not empty, as described() writes them.
 */
#include <CUnit/Basic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vxc/translate/decode.h"

#define ADDRESS 0x10000u

static const char *const cases[][2] = {
    /* operands and access */
    { "01 d8", "2 add 0:01/d8 reg=rv3:r rm=rv0:rw sets=CPAZSO" },
    { "03 04 8d 10 00 00 00", "7 add 0:03/04 reg=rv0:rw rm=rv4:r [+1*4+16] sets=CPAZSO" },
    { "39 03", "2 cmp 0:39/03 reg=rv0:r rm=rv3:r [3+0] sets=CPAZSO" },
    { "38 e3", "2 cmp 0:38/e3 reg=r84:r rm=r83:r byte sets=CPAZSO" },
    { "83 e9 ff", "3 sub 0:83/e9 rm=rv1:rw imm1=ffffffff sets=CPAZSO" },
    { "66 81 c1 34 12", "5 add 0:81/c1 o16 rm=rv1:rw imm2=1234 sets=CPAZSO" },
    { "66 05 34 12", "4 add 0:05 o16 imm2=1234 sets=CPAZSO" },
    { "89 c4", "2 mov 0:89/c4 reg=rv0:r rm=rv4:w" },
    { "8b 44 24 08", "4 mov 0:8b/44 reg=rv0:w rm=rv4:r [4+8]" },
    { "88 27", "2 mov 0:88/27 reg=r84:r rm=r87:w byte [7+0]" },
    { "c6 00 7f", "3 mov 0:c6/00 rm=r80:w byte [0+0] imm1=7f" },
    { "66 c7 03 34 12", "5 mov 0:c7/03 o16 rm=rv3:w [3+0] imm2=1234" },
    { "b4 12", "2 mov 0:b4 rm=r84:w byte imm1=12" },
    { "66 b8 34 12", "4 mov 0:b8 o16 rm=rv0:w imm2=1234" },
    { "87 1e", "2 xchg 0:87/1e reg=rv3:rw rm=rv6:rw [6+0]" },
    { "86 c4", "2 xchg 0:86/c4 reg=r80:rw rm=r84:rw byte" },
    { "93", "1 xchg 0:93 rm=rv3:rw" },
    { "90", "1 nop 0:90" },
    { "66 90", "2 nop 0:90" },
    { "0f c8", "2 bswap 1:c8 rm=rv0:rw" },
    { "0f b6 c4", "3 movzx 1:b6/c4 reg=rv0:w rm=r84:r byte" },
    { "66 0f b7 03", "4 movzx 1:b7/03 o16 reg=rv0:w rm=r163:r [3+0]" },
    { "0f c1 0b", "3 xadd 1:c1/0b reg=rv1:rw rm=rv3:rw [3+0] sets=CPAZSO" },
    { "0f b1 0b", "3 cmpxchg 1:b1/0b reg=rv1:r rm=rv3:rw [3+0] sets=CPAZSO" },
    { "0f c7 0b", "3 cmpxchg8b 1:c7/0b rm=3:rw [3+0] sets=Z" },
    { "0f af 0e", "3 imul 1:af/0e reg=rv1:rw rm=rv6:r [6+0] sets=CO" },
    { "69 c0 00 01 00 00", "6 imul 0:69/c0 reg=rv0:w rm=rv0:r imm4=100 sets=CO" },
    { "6b c0 fe", "3 imul 0:6b/c0 reg=rv0:w rm=rv0:r imm1=fffffffe sets=CO" },
    { "0f 44 c1", "3 cmove 1:44/c1 reg=rv0:rw rm=rv1:r reads=Z" },
    { "0f 94 03", "3 sete 1:94/03 rm=r83:w byte [3+0] reads=Z" },
    { "84 c0", "2 test 0:84/c0 reg=r80:r rm=r80:r byte sets=CPAZSO" },
    { "f7 e1", "2 mul 0:f7/e1 rm=rv1:r sets=CO" },
    { "f6 d0", "2 not 0:f6/d0 rm=r80:rw byte" },
    { "f7 db", "2 neg 0:f7/db rm=rv3:rw sets=CPAZSO" },
    { "fe 00", "2 inc 0:fe/00 rm=r80:rw byte [0+0] sets=PAZSO" },
    { "66 ff 03", "3 inc 0:ff/03 o16 rm=rv3:rw [3+0] sets=PAZSO" },
    /* x87, MMX, SSE */
    { "d8 03", "2 fadd 0:d8/03 rm=3:r [3+0]" },
    { "d9 c9", "2 fxch 0:d9/c9" },
    { "da c1", "2 fcmovb 0:da/c1 reads=C" },
    { "db e9", "2 fucomi 0:db/e9 sets=CPAZSO" },
    { "df e0", "2 fnstsw 0:df/e0" },
    { "dd d9", "2 fstp 0:dd/d9" },
    { "0f 6e c0", "3 movd 1:6e/c0 reg=mm0:w rm=r320:r" },
    { "66 0f 7e 03", "4 movd 1:7e/03 must66 reg=xmm0:r rm=r323:w [3+0]" },
    { "f3 0f 7e c1", "4 movq 1:7e/c1 mustf3 reg=xmm0:w rm=xmm1:r" },
    { "0f d7 c1", "3 pmovmskb 1:d7/c1 reg=r320:w rm=mm1:r" },
    { "66 0f c5 c1 07", "5 pextrw 1:c5/c1 must66 reg=r320:w rm=xmm1:r imm1=7" },
    { "66 0f c4 03 07", "5 pinsrw 1:c4/03 must66 reg=xmm0:rw rm=r323:r [3+0] imm1=7" },
    { "66 0f 3a 14 03 07", "6 pextrb 3:14/03 must66 reg=xmm0:r rm=r323:w [3+0] imm1=7 cpu4" },
    { "f2 0f 2a c0", "4 cvtsi2sd 1:2a/c0 mustf2 reg=xmm0:rw rm=r320:r" },
    { "66 f2 0f 2a c0", "5 cvtsi2sd 1:2a/c0 mustf2 reg=xmm0:rw rm=r320:r" },
    { "f3 0f 2d c1", "4 cvtss2si 1:2d/c1 mustf3 reg=r320:w rm=xmm1:r" },
    { "66 0f 2e c1", "4 ucomisd 1:2e/c1 must66 reg=xmm0:r rm=xmm1:r sets=CPAZSO" },
    { "66 0f 3a 63 c1 0c", "6 pcmpistri 3:63/c1 must66 reg=xmm0:r rm=xmm1:r imm1=c sets=CPAZSO cpu8" },
    { "66 0f 38 17 c1", "5 ptest 2:17/c1 must66 reg=xmm0:r rm=xmm1:r sets=CPAZSO cpu4" },
    { "66 f2 0f 38 f1 03", "6 crc32 2:f1/03 mustf2 o16 reg=r320:rw rm=rv3:r [3+0] cpu8" },
    { "f2 0f 38 f0 c4", "5 crc32 2:f0/c4 mustf2 reg=r320:rw rm=r84:r byte cpu8" },
    { "66 f3 0f b8 c1", "5 popcnt 1:b8/c1 mustf3 o16 reg=rv0:w rm=rv1:r sets=CPAZSO cpu16" },
    { "66 0f 71 d1 03", "5 psrlw 1:71/d1 must66 rm=xmm1:rw imm1=3" },
    { "0f f7 c1", "3 maskmovq 1:f7/c1 reg=mm0:r rm=mm1:r" },
    { "66 0f f7 c1", "4 maskmovdqu 1:f7/c1 must66 reg=xmm0:r rm=xmm1:r" },
    { "0f c3 03", "3 movnti 1:c3/03 reg=r320:r rm=3:w [3+0]" },
    { "0f e7 03", "3 movntq 1:e7/03 reg=mm0:r rm=3:w [3+0]" },
    { "f2 66 0f 58 c1", "5 addsd 1:58/c1 mustf2 reg=xmm0:rw rm=xmm1:r" },
    { "f3 f2 0f 58 c1", "5 addsd 1:58/c1 mustf2 reg=xmm0:rw rm=xmm1:r" },
    { "f2 f3 0f 58 c1", "5 addss 1:58/c1 mustf3 reg=xmm0:rw rm=xmm1:r" },
    /* twins */
    { "82 c0 01", "3 add 0:80/c0 rm=r80:rw byte imm1=1 sets=CPAZSO" },
    { "c0 f0 03", "3 shl 0:c0/e0 rm=r80:rw byte imm1=3 sets=CPAZSO" },
    { "d1 33", "2 shl 0:d1/23 rm=rv3:rw [3+0] sets=CPAZSO" },
    { "f6 c9 01", "3 test 0:f6/c1 rm=r81:r byte imm1=1 sets=CPAZSO" },
    { "f7 08 01 02 03 04", "6 test 0:f7/00 rm=rv0:r [0+0] imm4=4030201 sets=CPAZSO" },
    { "dc d1", "2 fcom 0:d8/d1" },
    { "dc d9", "2 fcomp 0:d8/d9" },
    { "dd c9", "2 fxch 0:d9/c9" },
    { "de d1", "2 fcomp 0:d8/d9" },
    { "df c9", "2 fxch 0:d9/c9" },
    { "df d1", "2 fstp 0:dd/d9" },
    { "df d9", "2 fstp 0:dd/d9" },
    { "db e0", "2 fneni 0:db/e0" },
    { "0f ae ef", "3 lfence 1:ae/e8" },
    { "0f ae f1", "3 mfence 1:ae/f0" },
    { "0f 19 03", "3 nop 1:19/03 rm=rv3: [3+0]" },
    { "f3 0f 1e fb", "4 endbr32 1:1e/fb mustf3" },
    { "0f 18 0b", "3 prefetcht0 1:18/0b [3+0]" },
    { "0f 0d 0b", "3 prefetchw 1:0d/0b rm=rv3: [3+0]" },
    { "f3 0f bc c1", "4 bsf 1:bc/c1 reg=rv0:rw rm=rv1:r sets=Z" },
    { "f3 0f bd c1", "4 bsr 1:bd/c1 reg=rv0:rw rm=rv1:r sets=Z" },
    /* addresses */
    { "8b 05 78 56 34 12", "6 mov 0:8b/05 reg=rv0:w rm=rv5:r [+305419896]" },
    { "8b 04 25 78 56 34 12", "7 mov 0:8b/04 reg=rv0:w rm=rv4:r [+305419896]" },
    { "8b 44 9d f0", "4 mov 0:8b/44 reg=rv0:w rm=rv4:r [5+3*4-16]" },
    { "8b 84 b5 00 01 00 00", "7 mov 0:8b/84 reg=rv0:w rm=rv4:r [5+6*4+256]" },
    { "8b 45 00", "3 mov 0:8b/45 reg=rv0:w rm=rv5:r [5+0]" },
    { "67 8b 07", "3 mov 0:8b/07 a16 reg=rv0:w rm=rv7:r [3+0]" },
    { "67 8b 46 fe", "4 mov 0:8b/46 a16 reg=rv0:w rm=rv6:r [5-2]" },
    { "67 8b 06 34 12", "5 mov 0:8b/06 a16 reg=rv0:w rm=rv6:r [+4660]" },
    { "67 8b 81 00 80", "5 mov 0:8b/81 a16 reg=rv0:w rm=rv1:r [3+7*1-32768]" },
    { "64 a1 00 00 00 00", "6 mov 0:a1 seg4 at 0" },
    { "65 8b 03", "3 mov 0:8b/03 seg5 reg=rv0:w rm=rv3:r [3+0]" },
    { "2e 3e 65 8b 03", "5 mov 0:8b/03 seg5 reg=rv0:w rm=rv3:r [3+0]" },
    { "67 a0 00 80", "4 mov 0:a0 a16 at 8000" },
    { "a2 78 56 34 12", "5 mov 0:a2 at 12345678" },
    { "66 a3 78 56 34 12", "6 mov 0:a3 o16 at 12345678" },
    { "8d 44 58 01", "4 lea 0:8d/44 reg=rv0:w [0+3*2+1]" },
    /* stack and control */
    { "50", "1 push 0:50 rm=rv0:r" },
    { "66 5c", "2 pop 0:5c o16 rm=rv4:w" },
    { "68 78 56 34 12", "5 push 0:68 imm4=12345678" },
    { "66 68 34 12", "4 push 0:68 o16 imm2=1234" },
    { "6a ff", "2 push 0:6a imm1=ffffffff" },
    { "ff 36", "2 push 0:ff/36 rm=rv6:r [6+0]" },
    { "8f 00", "2 pop 0:8f/00 rm=rv0:w [0+0]" },
    { "06", "1 push es 0:06" },
    { "0f a9", "2 pop gs 1:a9 sreg5" },
    { "9c", "1 pushf 0:9c reads=CPAZSO" },
    { "9d", "1 popf 0:9d" },
    { "60", "1 pusha 0:60" },
    { "e8 10 00 00 00", "5 call 0:e8 to 10015" },
    { "66 e8 10 00", "4 call 0:e8 o16 to 14" },
    { "e9 fb ff ff ff", "5 jmp 0:e9 to 10000" },
    { "66 eb 10", "3 jmp 0:eb o16 to 13" },
    { "75 fe", "2 jne 0:75 to 10000 cc5 reads=Z" },
    { "66 0f 84 00 80", "5 je 1:84 o16 to 8005 cc4 reads=Z" },
    { "67 e3 02", "3 jecxz 0:e3 a16 to 10005" },
    { "e0 00", "2 loopne 0:e0 to 10002 reads=Z" },
    { "c3", "1 ret 0:c3" },
    { "66 c2 08 00", "4 ret 0:c2 o16 imm2=8" },
    { "f3 c3", "2 ret 0:c3" },
    { "f2 ff d0", "3 call 0:ff/d0 rm=rv0:r" },
    { "3e ff 20", "3 jmp 0:ff/20 seg3 rm=rv0:r [0+0]" },
    { "66 ff 20", "3 jmp 0:ff/20 o16 rm=rv0:r [0+0]" },
    { "c8 08 00 01", "4 enter 0:c8 imm0=8 imm2=1" },
    { "c9", "1 leave 0:c9" },
    { "cd 80", "2 int 0:cd imm1=80" },
    { "cc", "1 int3 0:cc" },
    { "ce", "1 into 0:ce reads=O" },
    { "f1", "1 int1 0:f1" },
    { "9a 78 56 34 12 33 00", "7 lcall 0:9a imm0=12345678 imm2=33" },
    { "66 ea 34 12 33 00", "6 ljmp 0:ea o16 imm0=1234 imm2=33" },
    { "ca 04 00", "3 lret 0:ca imm2=4" },
    { "cf", "1 iret 0:cf imm2=1" },
    { "ff 18", "2 lcall 0:ff/18 rm=0:r [0+0]" },
    { "c4 03", "2 les 0:c4/03 reg=rv0:w rm=3:r [3+0]" },
    { "0f b2 03", "3 lss 1:b2/03 reg=rv0:w rm=3:r [3+0] sreg2" },
    { "8c d8", "2 mov 0:8c/d8 reg=seg3:r rm=rv0:w sreg3" },
    { "8e 03", "2 mov 0:8e/03 reg=seg0:w rm=r163:r [3+0]" },
    { "62 03", "2 bound 0:62/03 reg=rv0:r rm=3:r [3+0]" },
    { "63 c8", "2 arpl 0:63/c8 reg=r161:r rm=r160:rw sets=Z" },
    { "d7", "1 xlatb 0:d7" },
    { "d4 0a", "2 aam 0:d4 imm1=a" },
    { "d6", "1 salc 0:d6 reads=C" },
    { "27", "1 daa 0:27 reads=CA" },
    /* strings */
    { "a4", "1 movsb 0:a4" },
    { "66 a5", "2 movs 0:a5 o16" },
    { "f3 a4", "2 movsb 0:a4 repf3" },
    { "f2 a6", "2 cmpsb 0:a6 repf2" },
    { "f3 66 ab", "3 stos 0:ab o16 repf3" },
    { "ae", "1 scasb 0:ae sets=CPAZSO" },
    { "f3 af", "2 scas 0:af repf3" },
    { "64 ac", "2 lodsb 0:ac seg4" },
    { "67 f3 a5", "3 movs 0:a5 a16 repf3" },
    /* flags */
    { "40", "1 inc 0:40 rm=rv0:rw sets=PAZSO" },
    { "66 48", "2 dec 0:48 o16 rm=rv0:rw sets=PAZSO" },
    { "11 c8", "2 adc 0:11/c8 reg=rv1:r rm=rv0:rw reads=C sets=CPAZSO" },
    { "c1 e0 05", "3 shl 0:c1/e0 rm=rv0:rw imm1=5 sets=CPAZSO" },
    { "c1 e0 00", "3 shl 0:c1/e0 rm=rv0:rw imm1=0" },
    { "c1 e0 20", "3 shl 0:c1/e0 rm=rv0:rw imm1=20" },
    { "d3 e0", "2 shl 0:d3/e0 rm=rv0:rw" },
    { "c1 c0 03", "3 rol 0:c1/c0 rm=rv0:rw imm1=3 sets=C" },
    { "d1 c0", "2 rol 0:d1/c0 rm=rv0:rw sets=CO" },
    { "d1 d0", "2 rcl 0:d1/d0 rm=rv0:rw reads=C sets=CO" },
    { "0f a4 c2 04", "4 shld 1:a4/c2 reg=rv0:r rm=rv2:rw imm1=4 sets=CPAZSO" },
    { "0f a4 c2 20", "4 shld 1:a4/c2 reg=rv0:r rm=rv2:rw imm1=20" },
    { "66 0f a4 c2 11", "5 shld 1:a4/c2 o16 reg=rv0:r rm=rv2:rw imm1=11" },
    { "0f a5 c2", "3 shld 1:a5/c2 reg=rv0:r rm=rv2:rw" },
    { "0f a3 c8", "3 bt 1:a3/c8 reg=rv1:r rm=rv0:r sets=C" },
    { "0f ba e0 03", "4 bt 1:ba/e0 rm=rv0:r imm1=3 sets=C" },
    { "0f bc c1", "3 bsf 1:bc/c1 reg=rv0:rw rm=rv1:r sets=Z" },
    { "f5", "1 cmc 0:f5 reads=C sets=C" },
    { "f9", "1 stc 0:f9 sets=C" },
    { "9e", "1 sahf 0:9e sets=CPAZS" },
    { "9f", "1 lahf 0:9f reads=CPAZS" },
    { "0f 47 c1", "3 cmova 1:47/c1 reg=rv0:rw rm=rv1:r reads=CZ" },
    { "0f 9f c0", "3 setg 1:9f/c0 rm=r80:w byte reads=ZSO" },
    { "7d 00", "2 jge 0:7d to 10002 cc13 reads=SO" },
    { "db c1", "2 fcmovnb 0:db/c1 reads=C" },
    /* lock */
    { "f0 01 03", "3 add 0:01/03 lock reg=rv0:r rm=rv3:rw [3+0] sets=CPAZSO" },
    { "f0 0f c7 0b", "4 cmpxchg8b 1:c7/0b lock rm=3:rw [3+0] sets=Z" },
    { "f0 0f ba 2b 01", "5 bts 1:ba/2b lock rm=rv3:rw [3+0] imm1=1 sets=C" },
    { "f0 87 03", "3 xchg 0:87/03 lock reg=rv0:rw rm=rv3:rw [3+0]" },
    { "f0 82 03 01", "4 add 0:80/03 lock rm=r83:rw byte [3+0] imm1=1 sets=CPAZSO" },
    { "f0 f6 13", "3 not 0:f6/13 lock rm=r83:rw byte [3+0]" },
    { "f0 01 c3", "3 UD" },
    { "f0 39 03", "3 UD" },
    { "f0 0f ba 23 01", "5 UD" },
    { "f0 f6 03 01", "4 UD" },
    { "f0 8b 03", "3 UD" },
    { "f0 a4", "2 UD" },
    { "f0 90", "2 UD" },
    { "f0 f4", "2 UD" },
    { "f0 0f 20 c0", "4 GP" },
    { "f0 0f 1f 03", "4 UD" },
    /* refused */
    { "0f 0b", "2 UD" },
    { "0f 05", "2 UD" },
    { "0f 34", "2 GP" },
    { "0f a2", "2 cpuid 1:a2" },
    { "0f 01 f9", "3 UD" },
    { "0f 01 d0", "3 UD" },
    { "0f c7 f0", "3 UD" },
    { "c5 f8 77", "2 UD" },
    { "62 c0 00 00", "2 UD" },
    { "c4 c0 00 00", "2 UD" },
    { "8d c0", "2 UD" },
    { "8e c8", "2 UD" },
    { "8f c8", "2 UD" },
    { "fe d0", "2 UD" },
    { "ff f8", "2 UD" },
    { "0f 0f c0 b4", "2 UD" },
    { "66 0f 38 dc c1", "5 UD" },
    { "66 0f 60 c1", "4 punpcklbw 1:60/c1 must66 reg=xmm0:rw rm=xmm1:r" },
    { "f3 0f 60 c1", "4 UD" },
    { "66 f3 0f 60 c1", "5 UD" },
    { "66 0f c3 03", "4 UD" },
    { "0f c3 c3", "3 UD" },
    { "66 0f 12 c1", "4 UD" },
    { "0f 38 f0 03", "4 UD" },
    { "f4", "1 GP" },
    { "e4 10", "2 GP" },
    { "fa", "1 GP" },
    { "6c", "1 GP" },
    { "0f 33", "2 GP" },
    { "0f 01 13", "3 GP" },
    { "d9 d8", "2 UD" },
    { "df c1", "2 ffreep 0:df/c1" },
    /* limits */
    { "66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", "15 nop 0:90" },
    { "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 90", "15 GP" },
    { "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66", "15 GP" },
    { "66 66 66 66 66 66 66 66 66 66 66 66 66 66 0f 0b", "15 GP" },
    { "66 66 66 66 66 66 66 66 66 66 66 66 66 66 0f", "15 GP" },
    { "2e 2e 2e 2e 2e 2e 81 84 24 00 01 00 00 78 56 34 12", "15 GP" },
    { "2e 2e 2e 2e 81 84 24 00 01 00 00 78 56 34 12", "15 add 0:81/84 seg1 rm=rv4:rw [4+256] imm4=12345678 sets=CPAZSO" },
    { "66 66", "1 TRUNC" },
    { "0f", "1 TRUNC" },
    { "e8 00 00 00", "1 TRUNC" },
    { "8b 05 00 00", "1 TRUNC" },
};

struct text {
    char bytes[256];
    size_t size;
};

static void append(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int added = vsnprintf(text->bytes + text->size, sizeof text->bytes - text->size, format, arguments);
    va_end(arguments);
    if (added > 0)
        text->size += (size_t)added;
    if (text->size >= sizeof text->bytes)
        text->size = sizeof text->bytes - 1;
}

static void append_operand(struct text *text, const char *name, unsigned number, uint8_t kind, bool reads, bool writes)
{
    static const char *const kinds[] = { "", "r8", "rv", "r16", "r32", "mm", "xmm", "seg" };
    if (kind == VXT_R_NONE && !reads && !writes)
        return;
    append(text, " %s=%s%u:%s%s", name, kinds[kind], number, reads ? "r" : "", writes ? "w" : "");
}

static void append_flags(struct text *text, const char *name, uint8_t flags)
{
    if (!flags)
        return;
    append(text, " %s=", name);
    for (unsigned i = 0; i < 6; i++)
        if (flags & 1 << i)
            append(text, "%c", "CPAZSO"[i]);
}

static void append_address(struct text *text, const struct vxt_insn *insn)
{
    append(text, " [");
    if (insn->base >= 0)
        append(text, "%d", insn->base);
    if (insn->index >= 0)
        append(text, "+%d*%d", insn->index, 1 << insn->scale);
    append(text, "%+d]", insn->disp);
}

/* Length and normal form, then prefixes, operands, values, flags. */
static void described(const struct vxt_insn *insn, struct text *text)
{
    static const char *const ends[] = { "", "UD", "GP", "TRUNC" };
    text->size = 0;
    if (insn->klass >= VXT_UD && insn->klass <= VXT_TRUNC) {
        append(text, "%u %s", insn->length, ends[insn->klass]);
        return;
    }
    append(text, "%u %s %u:%02x", insn->length, vxt_mnemonic(insn), insn->map, insn->opcode);
    if (insn->has_modrm)
        append(text, "/%02x", insn->modrm);
    if (insn->mandatory)
        append(text, " must%02x", insn->mandatory);
    append(text, "%s%s%s", insn->osize16 ? " o16" : "", insn->addr16 ? " a16" : "", insn->lock ? " lock" : "");
    if (insn->rep)
        append(text, " rep%02x", insn->rep);
    if (insn->seg >= 0)
        append(text, " seg%d", insn->seg);
    append_operand(text, "reg", insn->reg, insn->reg_kind, insn->reg_read, insn->reg_write);
    append_operand(text, "rm", insn->rm, insn->rm_kind, insn->rm_read, insn->rm_write);
    if (insn->byte_op)
        append(text, " byte");
    if (insn->is_mem)
        append_address(text, insn);
    if (insn->klass == VXT_MOV_MOFFS)
        append(text, " at %x", (unsigned)insn->disp);
    if (insn->imm_size || insn->imm)
        append(text, " imm%u=%x", insn->imm_size, insn->imm);
    if (insn->imm2)
        append(text, " imm2=%x", insn->imm2);
    if (insn->target)
        append(text, " to %x", insn->target);
    if (insn->klass == VXT_JCC)
        append(text, " cc%u", insn->cc);
    if (insn->seg_reg)
        append(text, " sreg%u", insn->seg_reg);
    append_flags(text, "reads", insn->flags_read);
    append_flags(text, "sets", insn->flags_written);
    if (insn->cpu)
        append(text, " cpu%u", insn->cpu);
}

static uint32_t parse_bytes(const char *hex, uint8_t *bytes, uint32_t limit)
{
    uint32_t count = 0;
    char *end;
    for (unsigned long value; count < limit && (value = strtoul(hex, &end, 16), end != hex); hex = end)
        bytes[count++] = (uint8_t)value;
    return count;
}

static void fields(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[32];
        uint32_t size = parse_bytes(cases[i][0], bytes, sizeof bytes);
        struct vxt_insn insn;
        struct text text;
        vxt_decode(bytes, size, ADDRESS, &insn);
        described(&insn, &text);
        if (strcmp(text.bytes, cases[i][1])) {
            printf("\n%s\n  is       %s\n  expected %s\n", cases[i][0], text.bytes, cases[i][1]);
            CU_FAIL("described otherwise");
        }
    }
}

/* Every instruction cut at every length: nothing but TRUNC, and never a byte past the end is read. */
static void cut_short(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t bytes[32];
        uint32_t size = parse_bytes(cases[i][0], bytes, sizeof bytes);
        struct vxt_insn whole, cut;
        vxt_decode(bytes, size, ADDRESS, &whole);
        if (whole.klass == VXT_UD || whole.klass == VXT_GP)
            continue;
        for (uint32_t length = 1; length < whole.length; length++) {
            uint8_t *exact = malloc(length);
            CU_ASSERT_FATAL(exact != NULL);
            memcpy(exact, bytes, length);
            vxt_decode(exact, length, ADDRESS, &cut);
            CU_ASSERT_EQUAL(cut.klass, VXT_TRUNC);
            free(exact);
        }
    }
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("decode_fields", NULL, NULL);
    CU_add_test(suite, "fields of single instructions", fields);
    CU_add_test(suite, "cut short anywhere", cut_short);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
