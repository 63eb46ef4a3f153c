# V08: rsp, r11, r12, r13, r15 are named nowhere but in the listed forms (A8, A9, D5).

#: accept
        movl %r14d, %r8d
        movb %r9b, %gs:(%r10d,%r14d,4)
        addl $4, %r14d
        movl %esi, %gs:-4(%r14d)
        movb %ah, %ch
        movzbl %dh, %edi
        hlt

#: reject V08 at 0
        movl %esp, %eax
        hlt

#: reject V08 at 0
        movl %eax, %esp
        hlt

#: reject V08 at 0
        addw $4, %sp
        hlt

#: reject V08 at 0
        xchgl %r15d, %eax
        hlt

#: reject V08 at 0
        xchgl %esp, %eax                        # 94
        hlt

#: reject V08 at 0
        movl $0, %r12d
        hlt

#: reject V08 at 0
        movl %r13d, %eax                        # the window's address
        hlt

#: reject V08 at 0
        movl %r11d, %eax                        # a code address after S1
        hlt

#: reject V08 at 0
        movl %gs:(%eax), %r15d
        hlt

#: reject V08 at 0
        movl %gs:(%r15d), %eax
        hlt

#: reject V08 at 0
        movl %gs:(%eax,%r12d,2), %ecx
        hlt

#: reject V08 at 0
        movl %gs:(%esp), %ecx
        hlt

#: reject V08 at 0
        movl %gs:(%r13d), %ecx
        hlt

#: reject V08 at 0
        leal (%rsp), %eax
        hlt

#: reject V08 at 0
        leal 8(%r15), %eax
        hlt

#: reject V08 at 0
        movb %r11b, %al
        hlt

#: reject V08 at 0
        .byte 0x65, 0x67, 0x41, 0x88, 0x20      # movb %spl,%gs:(%r8d)
        hlt

#: reject V08 at 0
        cvtsi2sd %r11d, %xmm0
        hlt

#: reject V08 at 0
        movd %xmm0, %esp
        hlt

#: reject V08 at 0
        pmovmskb %xmm0, %r15d
        hlt

#: reject V08 at 0
        xaddl %eax, %r12d
        hlt

#: reject V08 at 0
        cmpxchgl %r13d, %gs:(%eax)
        hlt

#: reject V08 at 0
        bsfl %eax, %esp
        hlt

#: reject V08 at 0
        cmovel %eax, %r15d
        hlt

#: reject V08 at 0
        bswapl %r12d
        hlt

#: reject V08 at 0
        nopl (%rsp)
        hlt

#: reject V08 at 0
        andnl %eax, %ecx, %esp
        hlt

#: reject V08 at 0
        andnl %esp, %ecx, %eax
        hlt

#: reject V08 at 0
        andnl %eax, %r15d, %ecx                 # in VEX.vvvv
        hlt

#: reject V08 at 0
        andnl %eax, %r12d, %ecx
        hlt

#: reject V08 at 0
        blsrl %eax, %r11d                       # VEX.vvvv is the destination
        hlt

#: reject V08 at 0
        mulxl %eax, %esp, %ecx
        hlt

#: reject V08 at 0
        shlxl %r13d, %eax, %ecx
        hlt

#: reject V08 at 0
        vmovdqu %gs:(%r13d), %ymm0
        hlt

#: reject V08 at 0
        vmovdqu %ymm0, %gs:(%eax,%r15d)
        hlt

#: reject V08 at 0
        vmovdqu %ymm0, %gs:(%esp)
        hlt

#: reject V08 at 0
        vmovd %r15d, %xmm0
        hlt

#: reject V08 at 0
        vmovmskps %ymm0, %r12d
        hlt
