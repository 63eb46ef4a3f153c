# V14: a direct branch goes to a boundary of this chunk or to a declared entry of another (B6).

#: accept entry 2048
        jmp .+4
        hlt
        hlt
        jne .-1
        call .+5
        .byte 0xe9, 0xf0, 0x07, 0, 0            # to 2048

#: reject V14 at 0
        .byte 0xeb, 0x01                        # into the next instruction's immediate
        movl $0, %eax
        hlt

#: reject V14 at 5
        movl $0, %eax
        .byte 0x74, 0xfb                        # jz into the movl
        hlt

#: reject V14 at 0
        .byte 0xe8, 1, 0, 0, 0                  # call into the next instruction
        movl $0, %eax
        hlt

#: reject V14 at 1
        nop
        .byte 0x67, 0xe3, 0x01                  # jecxz
        movl $0, %eax
        hlt

#: reject V14 at 0
        .byte 0xe9, 0xfb, 0x07, 0, 0            # to 2048, which is no entry

#: reject V14 at 0 entry 2048
        .byte 0xe9, 0xfc, 0x07, 0, 0            # to 2049

#: reject V14 at 0
        .byte 0xeb, 0xf0                        # before the zone

#: reject V14 at 0
        .byte 0xe9, 0xfb, 0x0f, 0, 0            # to the end of the zone

#: reject V14 at 0
        .byte 0xe9, 0xfb, 0xff, 0xff, 0x7f      # far behind the zone

#: reject V14 at 3
        .byte 0x44, 0x8b, 0xc0
        .byte 0xeb, 0x01                        # past 65
        movl %gs:(%eax), %r8d
        hlt

#: reject V14 at 0
        .byte 0xeb, 2                           # past 65 67: the access without its prefixes
        movl %gs:(%eax), %eax
        hlt

#: reject V14 at 0
        .byte 0xeb, 0                           # to the end of the chunk
