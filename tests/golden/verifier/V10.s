# V10: base r15 only as listed: two loads of four bytes, two jumps (D5, E8).

#: accept
        movl 0x10(%r15), %r8d
        movl 0x14(%r15), %r8d
        movl 0x10(%r15), %r9d
        movl 0x14(%r15), %r10d
        .byte 0x41, 0xff, 0x67, 0x00            # jmpq *0(%r15) with disp8

#: accept
        movl $1, %r8d
        jmpq *8(%r15)

#: reject V10 at 0
        movl 0x08(%r15), %r8d                   # half of a stub's address
        hlt

#: reject V10 at 0
        movl 0x18(%r15), %r8d
        hlt

#: reject V10 at 0
        .byte 0x45, 0x8b, 0x5f, 0x10            # movl 0x10(%r15),%r11d
        hlt

#: reject V10 at 2
        nop
        nop
        jmpq *0x10(%r15)
        hlt

#: reject V10 at 0
        .byte 0x45, 0x8b, 0x77, 0x10            # movl 0x10(%r15),%r14d
        hlt

#: reject V10 at 0
        jmpq *-8(%r15)

#: reject V04 at 0
        jmpq *(%r15)                            # without disp8
        hlt

#: reject V04 at 0
        callq *8(%r15)
        hlt

#: reject V06 at 0
        movl 0x10(%r15), %eax
        hlt
