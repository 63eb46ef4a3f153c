# V09: every REX bit extends a general register that the instruction names; no bpl, sil, dil (B1).

#: accept
        movl %r8d, %r9d
        movb %r10b, %dl
        movl %gs:(%eax,%r9d), %ecx
        cvtsi2sd %r8d, %xmm7
        movl $1, %r10d
        hlt

#: reject V09 at 0
        .byte 0x40, 0x89, 0xc8                  # REX without a bit
        hlt

#: reject V09 at 0
        movb %sil, %al
        hlt

#: reject V09 at 0
        .byte 0x41, 0x88, 0xf0                  # movb %sil,%r8b: it was dh without REX
        hlt

#: reject V09 at 0
        .byte 0x41, 0x88, 0xe8                  # movb %bpl,%r8b
        hlt

#: reject V09 at 0
        addps %xmm8, %xmm0
        hlt

#: reject V09 at 0
        addps %xmm0, %xmm15
        hlt

#: reject V09 at 0
        .byte 0x41, 0x0f, 0xfc, 0xc0            # paddb mm with REX.B, which the processor ignores
        hlt

#: reject V09 at 0
        .byte 0x44, 0xf7, 0xd8                  # negl %eax with REX.R on the opcode's digit
        hlt

#: reject V09 at 0
        .byte 0x42, 0x89, 0xc8                  # REX.X without index
        hlt

#: reject V09 at 0
        .byte 0x65, 0x67, 0x41, 0x8b, 0x04, 0x25, 0, 0, 0, 0    # REX.B without base
        hlt

#: reject V09 at 0
        .byte 0x41, 0xd8, 0xc1                  # fadd with REX.B
        hlt

#: reject V09 at 0
        .byte 0x41, 0x98                        # cwde with REX.B
        hlt

#: reject V09 at 0
        .byte 0x41, 0xeb, 0                     # jmp with REX.B
        hlt

#: reject V09 at 0
        vaddps %ymm8, %ymm1, %ymm2
        hlt

#: reject V09 at 0
        vaddps %ymm0, %ymm9, %ymm2              # in VEX.vvvv
        hlt

#: reject V09 at 0
        vaddps %ymm0, %ymm1, %ymm10
        hlt

#: reject V09 at 0
        vblendvps %ymm8, %ymm0, %ymm1, %ymm2    # in the immediate
        hlt

#: reject V09 at 0
        .byte 0xc4, 0xa1, 0x70, 0x58, 0xc1      # VEX.X without SIB
        hlt

#: reject V09 at 0
        .byte 0xc5, 0xf0, 0x28, 0xc1            # vmovaps with something in VEX.vvvv
        hlt

#: reject V09 at 0
        .byte 0x65, 0x67, 0xc5, 0x78, 0xae, 0x10        # vldmxcsr with VEX.R, which extends no register
        hlt

#: reject V09 at 0
        .byte 0xc4, 0x62, 0x78, 0xf3, 0xc9      # blsr with VEX.R
        hlt

#: reject V09 at 0
        .byte 0xc5, 0xf0, 0x77                  # vzeroupper, too
        hlt

#: reject V09 at 0
        .byte 0xc4, 0xc1, 0x78, 0x77            # vzeroupper with VEX.B
        hlt

#: reject V09 at 0
        .byte 0x65, 0x67, 0xc5, 0xf2, 0x10, 0x00        # vmovss from memory with something in VEX.vvvv
        hlt

#: reject V09 at 0
        vpsrld $3, %ymm0, %ymm12
        hlt

#: reject V09 at 0
        .byte 0x44, 0x88, 0xc6                  # movb %r8b,%sil
        hlt
