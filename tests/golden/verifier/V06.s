# V06: 65 67 exactly where memory is accessed (A1, A2, A4, A5, A11).

#: accept
        movl %gs:0xf0001000(,%eiz), %eax
        btl %ecx, %gs:(%eax)
        leal (%rax,%rcx,4), %edx
        leaw 2(%r14), %dx
        nopw (%rax)
        jecxz .+3
        hlt

#: reject V06 at 0
        movl (%rax), %eax                       # host memory
        hlt

#: reject V06 at 0
        movl (%eax), %eax                       # 67 alone: low 4 GiB of the host
        hlt

#: reject V06 at 0
        movl %gs:(%rax), %eax                   # gs alone: 64-bit address
        hlt

#: reject V06 at 0
        .byte 0x65, 0x8b, 0x04, 0x25, 0, 0x10, 0, 0xf0  # gs:disp32 without 67 is sign-extended
        hlt

#: reject V06 at 0
        btl %ecx, %gs:(%rax)                    # reaches +-16 GiB without 67
        hlt

#: reject V06 at 2
        nop
        nop
        movaps %xmm0, (%rax)
        hlt

#: reject V06 at 0
        .byte 0x65, 0x67, 0x8d, 0x00            # lea with 65 67
        hlt

#: reject V06 at 0
        leal (%eax), %edx                       # lea with 67
        hlt

#: reject V06 at 0
        .byte 0x65, 0x67, 0x0f, 0x1f, 0x00      # nop with 65 67
        hlt

#: reject V06 at 0
        .byte 0x65, 0x67, 0x89, 0xc8            # register form with 65 67
        hlt

#: reject V06 at 0
        .byte 0x67, 0x89, 0xc8                  # register form with 67
        hlt

#: reject V06 at 0
        .byte 0xe3, 0x00                        # jrcxz: reads all of rcx
        hlt

#: reject V06 at 0
        .byte 0x65, 0x67, 0xe3, 0x00            # jecxz with gs
        hlt

#: reject V06 at 0
        .byte 0x67, 0xeb, 0x00                  # jmp with 67
        hlt

#: reject V06 at 0
        vaddps (%rax), %ymm1, %ymm2
        hlt

#: reject V06 at 0
        vaddps %gs:(%rax), %ymm1, %ymm2
        hlt

#: reject V06 at 0
        .byte 0x65, 0x67, 0xc5, 0xf4, 0x58, 0xd1        # no memory operand
        hlt

#: reject V06 at 0
        .byte 0x65, 0x67, 0xc5, 0xf8, 0x77              # vzeroupper
        hlt

#: reject V06 at 0
        vmovdqu %ymm0, (%rdi)
        hlt

#: reject V06 at 0
        vmaskmovps (%rax), %ymm1, %ymm2
        hlt

#: reject V06 at 0
        vpmaskmovd %ymm2, %ymm1, (%rcx)
        hlt

#: reject V06 at 0
        mulxl (%rax), %ecx, %edx
        hlt

#: reject V06 at 0
        vldmxcsr (%rax)
        hlt
