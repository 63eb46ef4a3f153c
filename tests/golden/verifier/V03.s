# V03: prefixes stand once each, in the order 65 67 f0 66 f2|f3 REX (A3, B1, B7).

#: accept
        movl %gs:(%eax), %ebx
        .byte 0x65, 0x67, 0xf0, 0x66, 0x41, 0x83, 0x46, 0x08, 0x01      # lock addw $1,%gs:8(%r14d)
        movsd %gs:(%r9d), %xmm1
        popcntw %gs:(%r9d), %bx
        hlt

#: reject V03 at 0
        .byte 0x65, 0x67, 0x64, 0x8b, 0x00      # gs, then fs: the last one wins
        hlt

#: reject V03 at 0
        .byte 0x64, 0x67, 0x8b, 0x00            # fs
        hlt

#: reject V03 at 0
        .byte 0x65, 0x67, 0x65, 0x8b, 0x00      # gs twice
        hlt

#: reject V03 at 0
        .byte 0x67, 0x65, 0x8b, 0x00            # wrong order
        hlt

#: reject V03 at 0
        .byte 0x66, 0x65, 0x67, 0x89, 0x00      # 66 in front
        hlt

#: reject V03 at 0
        .byte 0x66, 0x66, 0x90                  # 66 twice
        hlt

#: reject V03 at 1
        nop
        .byte 0x2e, 0x0f, 0x1f, 0x00            # cs override on a nop
        hlt

#: reject V03 at 0
        .byte 0x3e, 0x74, 0x00                  # branch hint
        hlt

#: reject V03 at 0
        .byte 0xf3, 0xf2, 0x0f, 0x58, 0xc1      # f3 and f2
        hlt

#: reject V03 at 0
        .byte 0x41, 0x65, 0x67, 0x8b, 0x00      # REX that is not last is ignored by the processor
        hlt

#: reject V03 at 0
        .byte 0x41, 0x41, 0x89, 0xc0            # REX twice
        hlt

#: reject V03 at 0
        .byte 0x4c, 0x89, 0xc0                  # movq %r8,%rax: REX.W outside a sequence
        hlt

#: reject V03 at 0
        .byte 0x65, 0x67, 0x48, 0x8b, 0x00      # movq %gs:(%eax),%rax
        hlt

#: reject V03 at 0
        .byte 0x3e, 0xc5, 0xf8, 0x58, 0xc1      # a prefix before VEX
        hlt
