# V16: execution cannot run past the end of the chunk (B6).

#: accept
        nop
        ret

#: accept
        jmp .-0

#: accept
        ud2

#: reject V16 at 1
        nop
        nop

#: reject V16 at 0
        .byte 0x75, 0xfe                        # jne to itself

#: reject V16 at 1
        nop
        .byte 0x67, 0xe3, 0xfd                  # jecxz to itself

#: reject V16 at 0
        .byte 0x0f, 0x85, 0xfa, 0xff, 0xff, 0xff # jne to itself

#: reject V16 at 1
        nop
        .byte 0xe8, 0xfa, 0xff, 0xff, 0xff      # call: its return lands behind the chunk

#: reject V16 at 3
        .byte 0x44, 0x8b, 0xc0
        movq 0x1000(%r15,%r8,8), %r11
        leaq (%r12,%r11), %r11
        callq *%r11

#: reject V16 at 10
        movl %ecx, %r9d
        leal -0x8048000(%r8), %ecx
        leaq -1(%rcx), %rcx
        bswapq %rcx
        jecxz .-17
        movl %r9d, %ecx

#: reject V16 at 2
        movl %edi, %edi
        leaq 0(%r13,%rdi), %rdi
        stosb
