# V11: S1, the table jump or call, byte by byte and behind a 32-bit load of r8d (E8).

#: accept
        .byte 0x44, 0x8b, 0xc0                  # movl %eax,%r8d, 8b form
        movq 0x1000(%r15,%r8,8), %r11
        leaq (%r12,%r11), %r11
        jmpq *%r11

#: accept
        movl %gs:8(%r9d,%ecx,4), %r8d
        movq 0x1000(%r15,%r8,8), %r11
        leaq (%r12,%r11), %r11
        callq *%r11
        cmpl $0x8048000, %r8d
        hlt

#: accept
        .byte 0x41, 0xb8, 0, 0, 0, 0            # movl $0,%r8d
        movq 0x1000(%r15,%r8,8), %r11
        leaq (%r12,%r11), %r11
        jmpq *%r11

#: reject V11 at 0
        movq 0x1000(%r15,%r8,8), %r11           # nothing in front: r8 may have 64 bits
        leaq (%r12,%r11), %r11
        jmpq *%r11

#: reject V11 at 3
        movl %eax, %r9d                         # loads another register
        movq 0x1000(%r15,%r8,8), %r11
        leaq (%r12,%r11), %r11
        jmpq *%r11

#: reject V11 at 4
        movw %ax, %r8w                          # leaves bits 16-63
        movq 0x1000(%r15,%r8,8), %r11
        leaq (%r12,%r11), %r11
        jmpq *%r11

#: reject V11 at 4
        .byte 0x66, 0x44, 0x8b, 0xc0            # movw %ax,%r8w, 8b form
        movq 0x1000(%r15,%r8,8), %r11
        leaq (%r12,%r11), %r11
        jmpq *%r11

#: reject V11 at 4
        movl 0x10(%r15), %r8d                   # the context load is not listed here
        movq 0x1000(%r15,%r8,8), %r11
        leaq (%r12,%r11), %r11
        jmpq *%r11

#: reject V11 at 4
        .byte 0x44, 0x8b, 0xc0                  # movl %eax,%r8d, but not directly in front
        nop
        movq 0x1000(%r15,%r8,8), %r11
        leaq (%r12,%r11), %r11
        jmpq *%r11

#: reject V11 at 3
        .byte 0x44, 0x8b, 0xc0
        movq 0x2000(%r15,%r8,8), %r11           # another table
        leaq (%r12,%r11), %r11
        jmpq *%r11

#: reject V11 at 3
        .byte 0x44, 0x8b, 0xc0
        movq 0x1000(%r15,%r8,8), %r11
        jmpq *%r11                              # offset taken for an address

#: reject V11 at 3
        .byte 0x44, 0x8b, 0xc0
        movq 0x1000(%r15,%r8,8), %r11
        leaq 1(%r12,%r11), %r11
        jmpq *%r11

#: reject V11 at 3
        .byte 0x44, 0x8b, 0xc0
        movq 0x1000(%r15,%r8,8), %r11
        leaq (%r12,%r11), %r11
        jmpq *%r10

#: reject V11 at 3
        .byte 0x44, 0x8b, 0xc0
        movq 0x1000(%r15,%r8,8), %r11
        leaq (%r12,%r11), %r11

#: reject V14 at 18
        .byte 0x44, 0x8b, 0xc0
        movq 0x1000(%r15,%r8,8), %r11
        leaq (%r12,%r11), %r11
        callq *%r11
        .byte 0xeb, 0xef                        # to the second instruction of the sequence

#: accept
        movl %gs:(%r8d,%r9d), %r8d              # 47 8b 04 08
        movq 0x1000(%r15,%r8,8), %r11
        leaq (%r12,%r11), %r11
        jmpq *%r11
