# V07: no RIP-relative operand (A6).

#: accept
        movl %gs:0x1000(,%eiz), %eax            # [disp32] through SIB
        leal 0x1000, %eax
        leal 0x10(%rbp), %eax
        hlt

#: reject V07 at 0
        .byte 0x65, 0x67, 0x8b, 0x05, 0, 0x10, 0, 0     # the bytes of an i386 movl 0x1000,%eax
        hlt

#: reject V07 at 0
        leal 0(%rip), %eax                      # a host address
        hlt

#: reject V07 at 0
        .byte 0x65, 0x67, 0x41, 0x8b, 0x05, 0, 0x10, 0, 0       # with REX.B
        hlt

#: reject V07 at 0
        .byte 0x0f, 0x1f, 0x05, 0, 0, 0, 0      # a nop, too
        hlt

#: reject V07 at 0
        .byte 0x65, 0x67, 0xc5, 0xf4, 0x58, 0x15, 0, 0, 0, 0    # vaddps, eip-relative
        hlt
