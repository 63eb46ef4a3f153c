/*
 * Runs the cases that faults.py generates, and writes what each fault looked like and how the instruction ended
 * (i386, no C library: what runs is this file, the cases and the kernel, or what takes its place).
 *
 * A case is an instruction, its registers, and the state of the four pages of the arena. A fault in
 * the arena is recorded, repaired (the page is mapped, or made writable), and the instruction starts again; any other
 * signal is recorded and ends the case. The same binary runs natively and under vxrun: its output must be the same.
 */
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

#define ARENA 0x30000000u
#define PAGES 4
#define PAGE 4096u
#define FAULT_LIMIT 12

struct test_case {
    u32 code, end;
    u32 regs[8]; /* in encoding order */
    u32 eflags;
    u32 fill[4]; /* words of the arena, by their address modulo 16 */
    u8 prot[4];  /* w r n(one) -(unmapped) */
    u32 fp;      /* x87 control word, MXCSR << 16 */
};

struct record {
    u32 id, signal, code, address, trapno, error, cr2;
    u32 regs[8], eip, eflags;
    u32 control, status, tags, mxcsr, memory, segments;
    u8 st[80], xmm[128];
};

extern const struct test_case cases[], cases_end[];
extern void run_case(void), finish(void);
extern u8 fx_template[512];
extern u32 in_regs[8], in_flags, in_code, out_regs[8], out_flags;
extern u8 in_fx[512], out_fx[512];

/* ---- kernel ---------------------------------------------------------- */

enum { SYS_exit = 1, SYS_write = 4, SYS_munmap = 91, SYS_mprotect = 125, SYS_sigaction = 174, SYS_sigaltstack = 186, SYS_mmap2 = 192,
       SYS_set_thread_area = 243 };
enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGSEGV = 11 };

static u32 call(u32 number, u32 a, u32 b, u32 c, u32 d)
{
    u32 result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    return result;
}

static u32 map(u32 at, u32 size, u32 prot)
{
    /* mmap2 has six arguments */
    u32 result;
    __asm__ volatile("pushl %%ebp\n\txorl %%ebp, %%ebp\n\tint $0x80\n\tpopl %%ebp"
                     : "=a"(result) : "a"(SYS_mmap2), "b"(at), "c"(size), "d"(prot), "S"(0x32), "D"(-1) : "memory");
    return result;
}

/* ---- output ---------------------------------------------------------- */

static u8 buffer[1 << 16];
static u32 used;

static void flush(void)
{
    for (u32 done = 0; done < used;) {
        u32 n = call(SYS_write, 1, (u32)buffer + done, used - done, 0);
        if (n == 0 || n > used)
            call(SYS_exit, 3, 0, 0, 0);
        done += n;
    }
    used = 0;
}

static void copy(void *to, const void *from, u32 size)
{
    for (u32 i = 0; i < size; i++)
        ((u8 *)to)[i] = ((const u8 *)from)[i];
}

static void put(const struct record *r)
{
    if (used + sizeof *r > sizeof buffer)
        flush();
    copy(buffer + used, r, sizeof *r);
    used += sizeof *r;
}

/* ---- arena ----------------------------------------------------------- */

static u8 now[PAGES];
static const struct test_case *current;

static void fill(u32 page)
{
    u32 *words = (u32 *)(ARENA + page * PAGE);
    for (u32 i = 0; i < PAGE / 4; i++)
        words[i] = current->fill[i % 4];
}

static void set_page(u32 page, u8 prot)
{
    u32 at = ARENA + page * PAGE;
    if (now[page] == '-')
        map(at, PAGE, 3);
    else if (now[page] != 'w')
        call(SYS_mprotect, at, PAGE, 3, 0);
    fill(page);
    if (prot == '-')
        call(SYS_munmap, at, PAGE, 0, 0);
    else if (prot != 'w')
        call(SYS_mprotect, at, PAGE, prot == 'r' ? 1 : 0, 0);
    now[page] = prot;
}

/* All that can be read, and which pages those are. */
static u32 memory_hash(void)
{
    u32 hash = 2166136261u;
    for (u32 page = 0; page < PAGES; page++) {
        const u32 *words = (const u32 *)(ARENA + page * PAGE);
        hash = (hash ^ now[page]) * 16777619u;
        if (now[page] == 'w' || now[page] == 'r')
            for (u32 i = 0; i < PAGE / 4; i++)
                hash = (hash ^ words[i]) * 16777619u;
    }
    return hash;
}

/* ---- signals --------------------------------------------------------- */

struct fpstate {
    u32 control, status, tags, ip[4];
    u8 st[80];
    u16 status_word, magic;
    u32 env[6], mxcsr, reserved;
    u8 fx_st[128], xmm[128];
};

struct context {
    u32 gs, fs, es, ds, edi, esi, ebp, esp, ebx, edx, ecx, eax, trapno, error, eip, cs, eflags, esp_at_signal, ss;
    struct fpstate *fp;
    u32 mask, cr2;
};

struct ucontext {
    u32 flags, link, stack[3];
    struct context c;
};

static u32 faults;
static struct record record;

/* True if the page is as the instruction wants it now. */
static int repair(const struct context *c)
{
    u32 page = (c->cr2 - ARENA) / PAGE;
    if (c->trapno != 14 || c->error & 16 || c->cr2 < ARENA || page >= PAGES || now[page] == 'w' || faults > FAULT_LIMIT)
        return 0;
    set_page(page, 'w');
    return 1;
}

static void skip(struct context *c)
{
    c->eip = (u32)finish;
    c->eflags &= ~0x100u;
    if (!c->fp)
        return;
    c->fp->control |= 0x3f;
    c->fp->mxcsr |= 0x1f80;
}

static void handler(int signal, const u32 *info, struct ucontext *uc)
{
    struct context *c = &uc->c;
    const u32 regs[8] = { c->eax, c->ecx, c->edx, c->ebx, c->esp, c->ebp, c->esi, c->edi };
    record.signal = (u32)signal;
    record.code = info[2];
    record.address = info[3];
    record.trapno = c->trapno;
    record.error = c->error;
    record.cr2 = c->cr2;
    copy(record.regs, regs, sizeof regs);
    record.eip = c->eip;
    record.eflags = c->eflags;
    record.segments = (c->es & 0xffff) * 3 + (c->ds & 0xffff) * 5 + (c->fs & 0xffff) * 7 + (c->gs & 0xffff) * 11;
    record.control = c->fp->control & 0xffff;
    record.status = c->fp->status & 0xffff;
    record.tags = c->fp->tags & 0xffff;
    record.mxcsr = c->fp->mxcsr;
    record.memory = memory_hash();
    copy(record.st, c->fp->st, sizeof record.st);
    copy(record.xmm, c->fp->xmm, sizeof record.xmm);
    put(&record);
    faults++;
    if (!repair(c))
        skip(c);
}

__attribute__((naked)) static void restorer(void)
{
    __asm__("movl $173, %eax\n\tint $0x80");
}

static void install(void)
{
    static u8 stack[16384];
    static const int signals[] = { SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV };
    u32 alternate[3] = { (u32)stack, 0, sizeof stack };
    /* SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTORER */
    u32 action[5] = { (u32)handler, 0x04000000u | 0x40000000u | 0x08000000u | 4u, (u32)restorer, 0, 0 };
    call(SYS_sigaltstack, (u32)alternate, 0, 0, 0);
    for (u32 i = 0; i < sizeof signals / sizeof *signals; i++)
        call(SYS_sigaction, (u32)signals[i], (u32)action, 0, 8);
}

/* ---- cases ----------------------------------------------------------- */

static void one_case(u32 id)
{
    faults = 0;
    for (u32 page = 0; page < PAGES; page++)
        set_page(page, current->prot[page]);
    copy(in_fx, fx_template, sizeof in_fx);
    *(u16 *)in_fx = (u16)current->fp;
    *(u32 *)(in_fx + 24) = current->fp >> 16;
    copy(in_regs, current->regs, sizeof in_regs);
    in_flags = current->eflags;
    in_code = current->code;
    record.id = id;
    run_case();
    struct record last = { .id = id, .eflags = out_flags, .memory = memory_hash() };
    copy(last.regs, out_regs, sizeof last.regs);
    last.control = *(u16 *)out_fx;
    last.status = *(u16 *)(out_fx + 2);
    last.tags = out_fx[4];
    last.mxcsr = *(u32 *)(out_fx + 24);
    for (u32 i = 0; i < 8; i++)
        copy(last.st + 10 * i, out_fx + 32 + 16 * i, 10);
    copy(last.xmm, out_fx + 160, sizeof last.xmm);
    put(&last);
}

/* %fs has the arena as its base: seg_32bit, limit_in_pages, useable. */
static void set_fs(void)
{
    u32 entry[4] = { ~0u, ARENA, 0xfffff, 1 | 1 << 4 | 1 << 6 };
    call(SYS_set_thread_area, (u32)entry, 0, 0, 0);
    __asm__ volatile("movw %w0, %%fs" : : "r"(entry[0] * 8 + 3));
}

void start(void)
{
    set_fs();
    map(ARENA, PAGES * PAGE, 3);
    for (u32 i = 0; i < PAGES; i++)
        now[i] = 'w';
    install();
    for (const struct test_case *c = cases; c < cases_end; c++) {
        current = c;
        one_case((u32)(c - cases));
    }
    flush();
    call(SYS_exit, 0, 0, 0, 0);
}

/* esp is set last and may be anything; `finish` uses no stack until it has its own again. */
__asm__(".text\n"
        ".globl _start, run_case, finish\n"
        "_start: call start\n"
        "run_case:\n"
        "  pushal\n"
        "  movl %esp, saved_esp\n"
        "  movw %gs, saved_gs\n"
        "  movw %fs, saved_fs\n"
        "  fxrstor in_fx\n"
        "  pushl in_flags\n"
        "  popfl\n"
        "  movl in_regs, %eax\n"
        "  movl in_regs+4, %ecx\n"
        "  movl in_regs+8, %edx\n"
        "  movl in_regs+12, %ebx\n"
        "  movl in_regs+16, %esp\n"
        "  movl in_regs+20, %ebp\n"
        "  movl in_regs+24, %esi\n"
        "  movl in_regs+28, %edi\n"
        "  jmp *%cs:in_code\n"
        "finish:\n"
        "  movl %eax, %ss:out_regs\n"
        "  movl %esp, %ss:out_regs+16\n"
        "  movl %cs:saved_esp, %esp\n"
        "  pushfl\n"
        "  popl %ss:out_flags\n"
        "  cld\n"
        "  movl %ss, %eax\n"
        "  movl %eax, %ds\n"
        "  movl %eax, %es\n"
        "  movw saved_gs, %gs\n"
        "  movw saved_fs, %fs\n"
        "  movl %ecx, out_regs+4\n"
        "  movl %edx, out_regs+8\n"
        "  movl %ebx, out_regs+12\n"
        "  movl %ebp, out_regs+20\n"
        "  movl %esi, out_regs+24\n"
        "  movl %edi, out_regs+28\n"
        "  fxsave out_fx\n"
        "  fninit\n"
        "  popal\n"
        "  ret\n"
        ".bss\n"
        ".globl in_regs, in_flags, in_code, out_regs, out_flags, in_fx, out_fx\n"
        ".balign 16\n"
        "in_fx: .space 512\n"
        "out_fx: .space 512\n"
        "in_regs: .space 32\n"
        "in_flags: .space 4\n"
        "in_code: .space 4\n"
        "out_regs: .space 32\n"
        "out_flags: .space 4\n"
        "saved_esp: .space 4\n"
        "saved_gs: .space 2\n"
        "saved_fs: .space 2\n"
        ".section .note.GNU-stack,\"\",@progbits\n"
        ".text\n");
