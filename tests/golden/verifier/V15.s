# V15: a declared entry is a boundary (B6, E7).

#: accept entry 0 entry 5 entry 6
        movl $0, %eax
        nop
        hlt

#: reject V15 at 1 entry 1
        movl $0, %eax
        hlt

#: reject V15 at 5 entry 0 entry 5
        .byte 0x44, 0x8b, 0xc0                  # S1 is indivisible
        movq 0x1000(%r15,%r8,8), %r11
        leaq (%r12,%r11), %r11
        jmpq *%r11

#: reject V15 at 3 entry 0 entry 3
        movl %ecx, %r9d                         # S3 is indivisible, also where it is plain code
        leal -0x8048000(%r8), %ecx
        leaq -1(%rcx), %rcx
        bswapq %rcx
        jecxz .+6
        movl %r9d, %ecx
        hlt

#: reject V15 at 7 entry 7
        movl %edi, %edi                         # S2: stosb
        leaq 0(%r13,%rdi), %rdi
        stosb
        hlt

#: reject V15 at 3 entry 3
        movl %eax, %ecx                         # just behind the chunk
        hlt
