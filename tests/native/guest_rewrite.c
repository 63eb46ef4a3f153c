/*
 * Guest of tests/test_vxrun.py: code that changes itself, in all the ways that programs do. Each case runs
 * often enough that a translator's shortcuts for code that is rewritten all the time come to bear too. What it
 * prints must be the same natively and in a box.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096
#define ROUNDS 60
typedef uint32_t function(uint32_t);

static uint8_t *code; /* four pages, all access */

static uint32_t call(const void *at, uint32_t argument)
{
    uint32_t result;
    __asm__ volatile("call *%1" : "=a"(result) : "r"(at), "a"(argument) : "ecx", "edx", "memory", "cc");
    return result;
}

/* mov $value,%eax; ret */
static void put_constant(uint8_t *at, uint32_t value)
{
    at[0] = 0xb8;
    memcpy(at + 1, &value, 4);
    at[5] = 0xc3;
}

/* ---- in the program's own text: made ahead of time, then changed ------ */

/* Each stores `eax` into an instruction ahead, by another instruction; result in ecx or eax. */
__asm__(".text\n.balign 4096\n.globl text_begin, text_end\ntext_begin:\n"
        ".globl next_byte, next_word, next_push, next_string, next_xchg, next_fp, next_sse, next_call, next_loop, next_lock, next_helper\n"
        "next_byte: movb %al, 1f+1\n 1: movl $0, %ecx\n movl %ecx, %eax\n ret\n"
        "next_word: movl %eax, 1f+1\n nop\n nop\n 1: movl $0, %ecx\n movl %ecx, %eax\n ret\n"
        "next_push: movl %esp, %edx\n movl $1f+5, %esp\n pushl %eax\n movl %edx, %esp\n 1: movl $0, %ecx\n movl %ecx, %eax\n ret\n"
        "next_string: pushl %edi\n movl $1f+1, %edi\n movl $4, %ecx\n rep stosb\n 1: movl $0, %ecx\n popl %edi\n movl %ecx, %eax\n ret\n"
        "next_xchg: xchgl %eax, 1f+1\n 1: movl $0, %ecx\n movl %ecx, %eax\n ret\n"
        "next_fp: pushl %eax\n fildl (%esp)\n fistpl 1f+1\n popl %eax\n 1: movl $0, %ecx\n movl %ecx, %eax\n ret\n"
        "next_sse: movd %eax, %xmm0\n movd %xmm0, 1f+1\n 1: movl $0, %ecx\n movl %ecx, %eax\n ret\n"
        "next_lock: lock addl %eax, 1f+1\n 1: movl $0, %ecx\n movl $0, 1b+1\n movl %ecx, %eax\n ret\n"
        "next_helper: pushl %ds\n movw %ds, 1f+1\n popl %edx\n 1: movl $0, %ecx\n movl %ecx, %eax\n ret\n"
        /* the code behind the caller's call is changed by what is called: the way back is new */
        "next_call: call 2f\n 1: movl $0, %ecx\n movl %ecx, %eax\n ret\n 2: movl %eax, 1b+1\n ret\n"
        /* every round of a loop changes the loop */
        "next_loop: movl %eax, %edx\n xorl %eax, %eax\n 1: movl $1, %ecx\n addl %ecx, %eax\n incl 1b+1\n decl %edx\n jnz 1b\n movl $1, 1b+1\n ret\n"
        /* into the middle of an instruction, and the byte before it changed */
        ".globl overlap\noverlap: cmpl $1, %eax\n je 1f+1\n movb %al, 1f+3\n 1: .byte 0xb8, 0x40, 0xc3, 0, 0\n ret\n"
        ".globl counter, counted\ncounted: incl counter\n movl counter, %eax\n ret\n counter: .long 0\n"
        ".balign 4096\ntext_end:\n");
extern uint8_t text_begin[], text_end[], counter[];
extern uint8_t next_byte[], next_word[], next_push[], next_string[], next_xchg[], next_fp[], next_sse[], next_call[], next_loop[],
    next_lock[], next_helper[], overlap[], counted[];

static void own_text(void)
{
    static const struct { const char *name; const uint8_t *at; } cases[] = {
        { "byte", next_byte }, { "word", next_word }, { "push", next_push }, { "string", next_string }, { "xchg", next_xchg },
        { "x87", next_fp }, { "sse", next_sse }, { "lock", next_lock }, { "helper", next_helper }, { "call", next_call }, { "loop", next_loop },
        { "overlap", overlap }, { "counted", counted } };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t sum = 0;
        if (i == 0) /* as it is in the file, once */
            printf("before: %u\n", call(overlap, 1));
        mprotect(text_begin, (size_t)(text_end - text_begin), PROT_READ | PROT_WRITE | PROT_EXEC);
        for (uint32_t round = 1; round <= ROUNDS; round++)
            sum = sum * 31 + call(cases[i].at, round % 50 + 1);
        printf("%s: %u\n", cases[i].name, sum);
    }
}

/* ---- in made memory --------------------------------------------------- */

static void functions(void)
{
    uint32_t sum = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        put_constant(code, round);               /* one function again and again */
        put_constant(code + 64, round * 3);      /* another on the page */
        put_constant(code + PAGE, round * 5);    /* and on another */
        put_constant(code + 2 * PAGE - 3, round * 7); /* across two pages */
        sum = sum * 31 + call(code, 0) + call(code + 64, 0) + call(code + PAGE, 0) + call(code + 2 * PAGE - 3, 0);
        code[2 * PAGE] ^= 0xff; /* its second page alone: a byte of the constant */
        sum = sum * 31 + call(code + 2 * PAGE - 3, 0);
        code[1] += 1; /* the first */
        sum = sum * 31 + call(code, 0);
    }
    printf("functions: %u\n", sum);
}

/* A function copied to many places, changed there, and run from each. */
static void copies(void)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < 200; i++) {
        uint8_t *at = code + i * 37 % (3 * PAGE);
        memcpy(at, "\x8d\x44\x00\x05\xc3", 5); /* lea 5(%eax,%eax),%eax; ret */
        at[3] = (uint8_t)i;
        sum = sum * 31 + call(at, i);
    }
    for (uint32_t i = 0; i < 30; i++) {
        put_constant(code + 20, i);
        sum = sum * 31 + call(code + 20, 0);
        memmove(code + 1, code, 2 * PAGE); /* all of it moves by a byte */
        memset(code, 0x90, 21);
        sum = sum * 31 + call(code + i % 20, 0);
    }
    printf("copies: %u\n", sum);
}

static void other_ways_to_write(void)
{
    int ends[2];
    uint32_t sum = 0;
    uint8_t constant[6], *page = code + PAGE;
    if (pipe(ends))
        return;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        put_constant(constant, round);
        struct iovec parts[2] = { { page, 3 }, { page + 3, 3 } };
        if (write(ends[1], constant, 6) != 6 || readv(ends[0], parts, 2) != 6)
            puts("short");
        sum = sum * 31 + call(page, 0);
        if (write(ends[1], constant, 6) != 6 || read(ends[0], page + 32, 6) != 6)
            puts("short");
        page[33] ^= 3;
        sum = sum * 31 + call(page + 32, 0);
    }
    close(ends[0]);
    close(ends[1]);
    printf("system calls: %u\n", sum);
}

static void mappings(void)
{
    uint32_t sum = 0;
    uint8_t *page = code + 2 * PAGE;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        put_constant(page, round);
        sum = sum * 31 + call(page, 0);
        munmap(page, PAGE);
        mmap(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        put_constant(page, round + 1000);
        sum = sum * 31 + call(page, 0);
        mmap(page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0); /* replaced at once */
        put_constant(page, round + 2000);
        mprotect(page, PAGE, PROT_READ | PROT_EXEC);
        sum = sum * 31 + call(page, 0);
        mprotect(page, PAGE, PROT_READ | PROT_WRITE); /* write, then execute: never both */
        page[1] ^= 1;
        mprotect(page, PAGE, PROT_READ | PROT_EXEC);
        sum = sum * 31 + call(page, 0);
        mprotect(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
        /* moved: the code is somewhere else, and something else is here */
        put_constant(code + 3 * PAGE, round + 3000);
        call(code + 3 * PAGE, 0);
        if (mremap(code + 3 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page) != page)
            puts("mremap");
        mmap(code + 3 * PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        put_constant(code + 3 * PAGE, round + 4000);
        sum = sum * 31 + call(page, 0) + call(code + 3 * PAGE, 0);
    }
    printf("mappings: %u\n", sum);
}

static void files(void)
{
    uint32_t sum = 0;
    uint8_t *page = code + 2 * PAGE, contents[PAGE] = { 0 };
    for (uint32_t round = 0; round < 8; round++) {
        int fd = open("code.bin", O_RDWR | O_CREAT | O_TRUNC, 0600);
        put_constant(contents, round + 77);
        if (fd < 0 || write(fd, contents, PAGE) != PAGE)
            puts("no file");
        mmap(page, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, 0);
        sum = sum * 31 + call(page, 0);
        close(fd);
    }
    mmap(page, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    unlink("code.bin");
    printf("files: %u\n", sum);
}

/* ---- while it is running ---------------------------------------------- */

/* A handler writes the code that the fault came from, and goes back into it. */
static void on_fault(int signal, siginfo_t *info, void *context)
{
    greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint8_t *at = (uint8_t *)g[REG_EIP];
    if (info->si_addr < (void *)PAGE)
        _exit(2);
    if (signal == SIGILL) {
        memcpy(at, "\x40\x40", 2); /* inc %eax twice, instead of ud2 */
        return;
    }
    mprotect((void *)((uintptr_t)info->si_addr & -PAGE), PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
}

static void handlers(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
    uint32_t sum = 0;
    sigaction(SIGILL, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        memcpy(code, "\x40\x0f\x0b\x40\xc3", 5); /* inc; ud2; inc; ret */
        sum = sum * 31 + call(code, round);
        mprotect(code, PAGE, PROT_READ); /* not executable: the handler makes it so */
        sum = sum * 31 + call(code, round);
        mprotect(code, PAGE, PROT_READ | PROT_EXEC); /* not writable: likewise */
        put_constant(code, round);
        sum = sum * 31 + call(code, 0);
    }
    printf("handlers: %u\n", sum);
}

/* Frames of a function are on the stack while it is replaced; they return into the new one. */
static void under_its_frames(void)
{
    /* 0: test %eax,%eax; je 1f; dec %eax; call 0b; add $1,%eax; ret; 1: movb $V,0b+imm; ret */
    static const uint8_t recursive[] = { 0x85, 0xc0, 0x74, 0x0a, 0x48, 0xe8, 0xf6, 0xff, 0xff, 0xff, 0x83, 0xc0, 0x01, 0xc3,
                                         0xc6, 0x05, 0, 0, 0, 0, 0x02, 0xc3 };
    uint32_t sum = 0, target = (uint32_t)code + 12;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        memcpy(code, recursive, sizeof recursive);
        memcpy(code + 16, &target, 4);
        code[20] = (uint8_t)round;
        sum = sum * 31 + call(code, round % 20);
    }
    printf("under its frames: %u\n", sum);
}

/* One byte makes other instructions of all that follows: a prefix, a longer immediate, another jump. */
static void other_lengths(void)
{
    static const uint8_t bytes[] = { 0x90, 0x66, 0xb8, 0x05, 0x3d, 0x68, 0xeb, 0x2e, 0xf2 };
    uint32_t sum = 0;
    for (uint32_t i = 0; i < sizeof bytes * 6; i++) {
        /* mov %esp,%ecx; X; 05 01 40 90 90; nop; inc; inc; inc; mov %ecx,%esp; ret */
        memcpy(code, "\x89\xe1\x90\x05\x01\x40\x90\x90\x90\x40\x40\x40\x89\xcc\xc3", 15);
        code[2] = bytes[i % sizeof bytes];
        sum = sum * 31 + call(code, i);
    }
    printf("other lengths: %u\n", sum);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    code = mmap((void *)0x20000000, 4 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (code == MAP_FAILED)
        return 1;
    own_text();
    functions();
    copies();
    other_ways_to_write();
    mappings();
    files();
    handlers();
    under_its_frames();
    other_lengths();
    own_text();
    return 0;
}
