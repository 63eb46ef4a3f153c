# V13: S3, the comparison that keeps the flags, byte by byte.

#: accept
        movl %ecx, %r9d
        leal -0x8048000(%r8), %ecx
        leaq -1(%rcx), %rcx
        bswapq %rcx
        jecxz 1f
        movl %r9d, %ecx
        hlt
1:      movl %r9d, %ecx
        jmpq *8(%r15)

#: accept
        movl %ecx, %r9d                         # plain
        leal -0x8048000(%r8), %ecx
        hlt

#: reject V13 at 0
        leaq -1(%rcx), %rcx
        hlt

#: reject V13 at 0
        bswapq %rcx
        hlt

#: reject V13 at 7
        leal -0x8048000(%r8), %ecx              # first instruction missing
        leaq -1(%rcx), %rcx
        bswapq %rcx
        jecxz .+6
        movl %r9d, %ecx
        hlt

#: reject V13 at 10
        movl %ecx, %r10d                        # another register
        leal -0x8048000(%r8), %ecx
        leaq -1(%rcx), %rcx
        bswapq %rcx
        jecxz .+6
        movl %r9d, %ecx
        hlt

#: reject V13 at 7
        movl %ecx, %r9d
        leal -8(%r8), %ecx                      # disp8
        leaq -1(%rcx), %rcx
        bswapq %rcx
        jecxz .+6
        movl %r9d, %ecx
        hlt

#: reject V13 at 10
        movl %ecx, %r9d
        leal -0x8048000(%r8), %ecx
        leaq -2(%rcx), %rcx
        bswapq %rcx
        jecxz .+6
        movl %r9d, %ecx
        hlt

#: reject V13 at 10
        movl %ecx, %r9d
        leal -0x8048000(%r8), %ecx
        leaq -1(%rcx), %rcx
        jecxz .+6
        movl %r9d, %ecx
        hlt

#: reject V13 at 10
        movl %ecx, %r9d
        leal -0x8048000(%r8), %ecx
        leaq -1(%rcx), %rcx
        bswapq %rcx
        jecxz .+6
        movl %r10d, %ecx
        hlt

#: reject V13 at 10
        movl %ecx, %r9d
        leal -0x8048000(%r8), %ecx
        leaq -1(%rcx), %rcx
        bswapq %rcx
        jecxz .+3

#: reject V13 at 10
        movl %ecx, %r10d                        # the end without what stands before it
        leal -0x8048000(%r8), %ecx
        .byte 0x48
        movl %r9d, %ecx
        .fill 80, 1, 0xf4

#: reject V14 at 23
        movl %ecx, %r9d
        leal -0x8048000(%r8), %ecx
        leaq -1(%rcx), %rcx
        bswapq %rcx
        jecxz .+6
        movl %r9d, %ecx
        .byte 0xeb, 0xea                        # to the leal

#: reject V14 at 17
        movl %ecx, %r9d
        leal -0x8048000(%r8), %ecx
        leaq -1(%rcx), %rcx
        bswapq %rcx
        jecxz .+3                               # inside the sequence
        movl %r9d, %ecx
        hlt
