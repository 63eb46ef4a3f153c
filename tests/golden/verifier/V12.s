# V12: string instructions only in S2, byte by byte (A2, E15).

#: accept
        movl %esi, %esi
        leaq 0(%r13,%rsi), %rsi
        movl %edi, %edi
        leaq 0(%r13,%rdi), %rdi
        movl %ecx, %ecx
        rep movsb
        movl %esi, %esi                         # plain
        hlt

#: accept
        movl %edi, %edi
        leaq 0(%r13,%rdi), %rdi
        stosw
        movl %esi, %esi
        leaq 0(%r13,%rsi), %rsi
        lodsl
        movl %edi, %edi
        leaq 0(%r13,%rdi), %rdi
        movl %ecx, %ecx
        repne scasb
        hlt

#: reject V12 at 0
        stosb                                   # rdi is not in the window
        hlt

#: reject V12 at 0
        .byte 0x65, 0x67, 0xaa                  # gs and 67 do not help: es:edi ignores gs
        hlt

#: reject V12 at 0
        rep movsl
        hlt

#: reject V12 at 2
        movl %edi, %edi
        leaq 0(%r13,%rdi), %rdi
        nop
        stosb
        hlt

#: reject V12 at 2
        movl %edi, %edi                         # rsi is missing
        leaq 0(%r13,%rdi), %rdi
        movsb
        hlt

#: reject V12 at 2
        movl %edi, %edi                         # wrong order: rdi is prepared, not used
        leaq 0(%r13,%rdi), %rdi
        movl %esi, %esi
        leaq 0(%r13,%rsi), %rsi
        movsb
        hlt

#: reject V12 at 2
        movl %edi, %edi
        leaq 0(%r13,%rdi), %rdi
        rep stosb                               # rcx may have 64 bits
        hlt

#: reject V12 at 2
        movl %edi, %edi
        leaq 0(%r13,%rdi), %rdi
        movl %ecx, %ecx
        stosb                                   # counted, not repeated
        hlt

#: reject V12 at 0
        leaq 0(%r13,%rdi), %rdi                 # rdi may have 64 bits
        stosb
        hlt

#: reject V12 at 3
        .byte 0x66, 0x89, 0xff                  # movw %di,%di
        leaq 0(%r13,%rdi), %rdi
        stosb
        hlt

#: reject V12 at 2
        movl %edi, %edi
        leaq 1(%r13,%rdi), %rdi
        stosb
        hlt

#: reject V12 at 2
        movl %edi, %edi
        leaq 0(%r13,%rdi), %rdi
        stosq                                   # REX.W
        hlt

#: reject V12 at 2
        movl %edi, %edi
        leaq 0(%r13,%rdi), %rdi
        .byte 0x67, 0xaa                        # address size 32: the base is cut off
        hlt

#: reject V12 at 2
        movl %edi, %edi
        leaq 0(%r13,%rdi), %rdi
        insb
        hlt

#: reject V12 at 2
        movl %edi, %edi
        leaq 0(%r13,%rdi), %rdi

#: reject V14 at 8
        movl %edi, %edi
        leaq 0(%r13,%rdi), %rdi
        stosb
        .byte 0xeb, 0xfd                        # to stosb itself

#: reject V12 at 2
        movl %edi, %edi
        leaq 0(%r13,%rdi), %rdi
        .byte 0x66, 0xaa                        # data16 stosb: 66 with a byte element
        hlt

#: reject V12 at 0
        scasl
        hlt

#: reject V12 at 0
        movsb
        hlt
