# V02: an instruction that runs past the end of the chunk (B5).

#: accept
        movl $0x12345678, %eax
        hlt

#: reject V02 at 0
        .byte 0xb8, 1, 2, 3             # movl imm32, one byte short

#: reject V02 at 1
        nop
        .byte 0x65                      # a prefix alone

#: reject V02 at 1
        nop
        .byte 0x65, 0x67, 0x8b          # no ModRM

#: reject V02 at 1
        nop
        .byte 0x65, 0x67, 0x8b, 0x04    # no SIB

#: reject V02 at 1
        nop
        .byte 0x65, 0x67, 0x8b, 0x83, 0, 0, 0   # disp32 one byte short

#: reject V02 at 2
        .byte 0xeb, 0                   # jmp to the last instruction
        .byte 0x0f, 0x84, 0, 0, 0       # jz rel32 one byte short

#: reject V02 at 0
        .byte 0x41, 0xff, 0x67          # jmpq *disp8(%r15) without its disp8
