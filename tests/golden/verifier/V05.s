# V05: lock stands only with a memory destination of an instruction that allows it (B4).

#: accept
        lock addl %eax, %gs:(%ecx)
        lock xaddb %al, %gs:(%ecx)
        lock cmpxchg8b %gs:(%esi)
        lock btsl %eax, %gs:(%ecx)
        lock negl %gs:(%ecx)
        xchgl %eax, %gs:(%ecx)
        hlt

#: reject V05 at 0
        .byte 0xf0, 0x01, 0xc8                  # lock addl %ecx,%eax
        hlt

#: reject V05 at 0
        .byte 0x65, 0x67, 0xf0, 0x39, 0x01      # lock cmpl %eax,%gs:(%ecx)
        hlt

#: reject V05 at 0
        .byte 0x65, 0x67, 0xf0, 0x03, 0x01      # lock addl %gs:(%ecx),%eax: destination is the register
        hlt

#: reject V05 at 0
        .byte 0x65, 0x67, 0xf0, 0x89, 0x01      # lock movl
        hlt

#: reject V05 at 0
        .byte 0x65, 0x67, 0xf0, 0x0f, 0xba, 0x21, 3     # lock btl
        hlt

#: reject V05 at 0
        .byte 0xf0, 0x90                        # lock nop
        hlt

#: reject V04 at 0
        .byte 0xf0, 0xc5, 0xf8, 0x58, 0xc1      # lock before VEX
        hlt
