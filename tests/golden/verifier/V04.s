# V04: only what the allow-list has a row for (A10, B2, B4, C1-C6, D4).

#: accept
        addl %ecx, %eax
        pause
        nopl 16(%rax,%rcx,2)
        leal 4(%rax,%rcx,8), %edx
        fnstsw %ax
        lfence
        rdtsc
        ud2

#: reject V04 at 2
        movl %eax, %ecx
        syscall
        hlt

#: reject V04 at 0
        sysenter
        hlt

#: reject V04 at 0
        int $0x80
        hlt

#: reject V04 at 0
        int3
        hlt

#: reject V04 at 0
        .byte 0xf1                              # icebp
        hlt

#: reject V04 at 0
        pushq %rax
        hlt

#: reject V04 at 0
        popq %rax
        hlt

#: reject V04 at 0
        popfq
        hlt

#: reject V04 at 0
        leave
        hlt

#: reject V04 at 0
        ret $8
        hlt

#: reject V04 at 0
        lretl
        hlt

#: reject V04 at 0
        jmpq *%rax
        hlt

#: reject V04 at 0
        jmpq *%r11                              # the end of S1, alone
        hlt

#: reject V04 at 0
        callq *%r11
        hlt

#: reject V04 at 0
        .byte 0x65, 0x67, 0xff, 0x20            # jmpq *%gs:(%eax): a target out of guest memory
        hlt

#: reject V04 at 0
        movl %eax, %gs
        hlt

#: reject V04 at 0
        movl %ds, %eax
        hlt

#: reject V04 at 0
        wrgsbase %eax
        hlt

#: reject V04 at 0
        rdfsbase %eax
        hlt

#: reject V04 at 0
        swapgs
        hlt

#: reject V04 at 0
        wrpkru
        hlt

#: reject V04 at 0
        xgetbv
        hlt

#: reject V04 at 0
        .byte 0xc7, 0xf8, 0, 0, 0, 0            # xbegin
        hlt

#: reject V04 at 0
        fnstenv %gs:(%eax)
        hlt

#: reject V04 at 0
        fldenv %gs:(%eax)
        hlt

#: reject V04 at 0
        fnsave %gs:(%eax)
        hlt

#: reject V04 at 0
        frstor %gs:(%eax)
        hlt

#: reject V04 at 0
        fxsave %gs:(%eax)
        hlt

#: reject V04 at 0
        xrstor %gs:(%eax)
        hlt

#: reject V04 at 0
        clflush %gs:(%eax)
        hlt

#: reject V04 at 0
        cpuid
        hlt

#: reject V04 at 0
        rdpmc
        hlt

#: reject V04 at 0
        inb $1, %al
        hlt

#: reject V04 at 0
        outb %al, %dx
        hlt

#: reject V04 at 0
        cli
        hlt

#: reject V04 at 0
        xlatb
        hlt

#: reject V04 at 0
        maskmovq %mm1, %mm0
        hlt

#: reject V04 at 0
        maskmovdqu %xmm1, %xmm0
        hlt

#: reject V04 at 0
        prefetcht0 %gs:(%eax)
        hlt

#: reject V04 at 0
        loop .+2
        hlt

#: reject V04 at 0
        .byte 0x66, 0xe9, 0, 0                  # 66 on a branch: AMD and Intel differ
        hlt

#: reject V04 at 0
        .byte 0xf2, 0xc3                        # bnd ret
        hlt

#: reject V04 at 0
        .byte 0xf3, 0xc3                        # rep ret
        hlt

#: reject V04 at 0
        .byte 0xc1, 0xf0, 4                     # shl /6
        hlt

#: reject V04 at 0
        .byte 0xf7, 0xc8, 0, 0, 0, 0            # test /1
        hlt

#: reject V04 at 0
        .byte 0x82, 0xc0, 1                     # alias of 80
        hlt

#: reject V04 at 0
        .byte 0xd6                              # salc, in 64-bit mode #UD
        hlt

#: reject V04 at 0
        .byte 0x0f, 0x1a, 0x00                  # bndldx
        hlt

#: reject V04 at 0
        .byte 0x0f, 0xff, 0xc0                  # ud0
        hlt

#: reject V04 at 0
        .byte 0xdc, 0xd0                        # alias of fcom
        hlt

#: reject V04 at 0
        .byte 0xd9, 0xd8                        # fstp1
        hlt

#: reject V04 at 0
        .byte 0x0f, 0xc7, 0xc8                  # cmpxchg8b %eax: the F00F form
        hlt

#: accept
        rdrandl %eax
        rdseedw %cx
        lzcntl %eax, %ecx
        tzcntw %ax, %cx
        adcxl %eax, %ecx
        adoxl %eax, %ecx
        aesenc %xmm1, %xmm2
        pclmulqdq $1, %xmm1, %xmm2
        sha256rnds2 %xmm0, %xmm1, %xmm2
        hlt

#: reject V04 at 0
        rdpid %rax
        hlt

#: reject V04 at 0
        .byte 0x0f, 0x38, 0xf0, 0xc1            # movbe from a register
        hlt

#: reject V04 at 0
        rdtscp
        hlt

#: reject V04 at 0
        xgetbv
        hlt

#: accept
        vaddps %xmm0, %xmm1, %xmm2
        vaddps %ymm7, %ymm7, %ymm7
        .byte 0xc4, 0xe1, 0x70, 0x58, 0xd0      # vaddps, the longer form
        vpaddd %ymm0, %ymm1, %ymm2
        vaddss %gs:(%r14d), %xmm1, %xmm2
        vmovdqu %ymm3, %gs:8(%eax,%r9d,4)
        vmaskmovps %gs:(%eax), %ymm1, %ymm2
        vpmaskmovq %ymm2, %ymm1, %gs:(%ecx)
        vblendvps %ymm7, %ymm0, %ymm1, %ymm2
        vfmadd231pd %gs:(%eax), %ymm1, %ymm2
        andnl %r14d, %r8d, %r10d
        mulxl %gs:(%eax), %ecx, %edx
        shlxl %r14d, %gs:(%eax), %eax
        blsrl %eax, %r14d
        rorxl $3, %r14d, %eax
        vpcmpestri $0, %xmm0, %xmm1
        vzeroupper
        vzeroall
        hlt

#: reject V04 at 0
        vpgatherdd %xmm0, %gs:(%eax,%xmm1), %xmm2       # the index is a vector
        hlt

#: reject V04 at 0
        vgatherqpd %ymm0, %gs:(%eax,%ymm1), %ymm2
        hlt

#: reject V04 at 0
        vmaskmovdqu %xmm0, %xmm1                # stores through rdi
        hlt

#: reject V04 at 0
        andnq %rax, %rcx, %rdx                  # VEX.W: 64 bits
        hlt

#: reject V04 at 0
        vmovq %rax, %xmm0
        hlt

#: reject V04 at 0
        vmovq %xmm0, %rax
        hlt

#: reject V04 at 0
        vcvtsi2sd %rax, %xmm0, %xmm0
        hlt

#: reject V04 at 0
        vcvttsd2si %xmm0, %rax
        hlt

#: reject V04 at 0
        vpextrq $0, %xmm0, %rax
        hlt

#: reject V04 at 0
        .byte 0xc4, 0xe1, 0xf8, 0x58, 0xc1      # vaddps with VEX.W, which it ignores
        hlt

#: reject V04 at 0
        .byte 0xc5, 0xfe, 0x58, 0xc1            # vaddss with VEX.L, which it ignores
        hlt

#: reject V04 at 0
        .byte 0xc4, 0xe2, 0x7c, 0xf2, 0xc1      # andn with VEX.L
        hlt

#: reject V04 at 0
        vaesenc %ymm0, %ymm1, %ymm2             # VAES
        hlt

#: reject V04 at 0
        vpclmulqdq $0, %ymm0, %ymm1, %ymm2
        hlt

#: reject V04 at 4
        vaddsubps %xmm0, %xmm1, %xmm2
        .byte 0xc4, 0xe0, 0x78, 0x58, 0xc1      # map 0
        hlt

#: reject V04 at 0
        .byte 0xc4, 0xe4, 0x78, 0x58, 0xc1      # map 4
        hlt

#: reject V04 at 0
        .byte 0xc4, 0xe2, 0x78, 0xf3, 0xe0      # the group of blsr: no such digit
        hlt

#: reject V04 at 0
        .byte 0x65, 0x67, 0xc5, 0xf9, 0x73, 0x10, 0x01   # vpsrlq, memory form
        hlt

#: reject V04 at 0
        .byte 0x8f, 0xe8, 0x78, 0xa2, 0xc1, 0x00        # XOP
        hlt

#: reject V04 at 0
        xsave %gs:(%eax)
        hlt

#: reject V04 at 0
        xrstor %gs:(%eax)
        hlt

#: reject V04 at 0
        xsavec %gs:(%eax)
        hlt

#: reject V04 at 0
        .byte 0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0        # EVEX
        hlt

#: reject V04 at 0
        .byte 0x63, 0xc1                        # arpl for an i386, movsxd here
        hlt

#: reject V04 at 0
        .byte 0xa1, 0, 0, 0, 0, 0, 0, 0, 0      # moffs has eight bytes here
        hlt

#: reject V04 at 0
        .byte 0x9a, 0, 0, 0, 0, 0, 0            # far call of an i386
        hlt

#: reject V04 at 0
        .byte 0x06                              # push %es of an i386
        hlt

#: reject V04 at 0
        .byte 0x66, 0xc5, 0xf8, 0x58, 0xc1      # 66 before VEX: always undefined
        hlt

#: reject V04 at 0
        vaddps (%eax), %ymm1, %ymm2             # 67 alone before VEX
        hlt

#: reject V04 at 0
        .byte 0xf3, 0xc5, 0xf8, 0x58, 0xc1
        hlt

#: reject V04 at 0
        .byte 0x41, 0xc5, 0xf8, 0x58, 0xc1      # REX before VEX
        hlt
