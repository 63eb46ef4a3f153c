/*
 * Runs the cases that program.py generates and writes a hash of what each one did (i386, no C library: what runs is
 * this file, the cases and the kernel, or what takes its place). The same binary runs natively and under
 * vxrun: its output must be the same.
 *
 * A case is a stretch of code that ends in a jump to `finish`, and a number from which all registers, x87, SSE and the page
 * that its operands lie in are made. A trap is part of the result and ends the case; a single-step trap lets it go on.
 * usage: program          12 bytes a case: struct result
 *        program NUMBER   the records behind the hash of that case: struct record and the page
 */
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

#define WINDOW 0x30000000u /* base of fs; only the page is mapped */
#define PAGE 0x30001000u
#define PAGE_BYTES 4096u
#define STEP_LIMIT 400

struct test_case {
    u32 code, seed;
    u32 options; /* step by step; no unmasked exceptions; x87 conditions do not count; LOOSE below */
    u32 flags;   /* bits of EFLAGS that count */
};
enum { STEP = 1, PLAIN_FP = 2, DEFINED = 4, LOOSE = 8 };

struct result {
    u32 hash[2];
    u32 info; /* number of traps | vector of the last << 8 | its eip from the start of the code << 16 */
};

struct record {
    u32 signal, code, address, trapno, error, cr2;
    u32 regs[8], eip, eflags;
    u32 control, status, tags, mxcsr, segments[4];
    u8 st[80], xmm[128], high[128];
};

struct header {
    u32 count, has_avx, prot, align_check;
    struct test_case cases[];
};
extern const struct header table;
extern void enter_case(void), finish(void);
extern u32 in_regs[8], in_flags, in_code, out_regs[8], out_flags, out_segments[4];
extern u8 in_fx[512], out_fx[512], in_high[128], out_high[128], use_high;

/* ---- kernel ---------------------------------------------------------- */

enum { SYS_exit = 1, SYS_write = 4, SYS_munmap = 91, SYS_sigaction = 174, SYS_sigaltstack = 186, SYS_mmap2 = 192, SYS_set_thread_area = 243 };
enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGSEGV = 11 };

static u32 call(u32 number, u32 a, u32 b, u32 c, u32 d)
{
    u32 result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
    return result;
}

static void map(u32 at, u32 size, u32 prot)
{
    u32 arguments[6] = { at, size, prot, 0x32, ~0u, 0 };
    u32 result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(90), "b"(arguments) : "memory");
}

static void write_all(const void *from, u32 size)
{
    while (size) {
        u32 n = call(SYS_write, 1, (u32)from, size, 0);
        if (n == 0 || n > size)
            call(SYS_exit, 3, 0, 0, 0);
        from = (const u8 *)from + n;
        size -= n;
    }
}

static void copy(void *to, const void *from, u32 bytes)
{
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

/* ---- numbers --------------------------------------------------------- */

static u32 state;

static u32 next(void)
{
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static const u32 edges[32] = {
    0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x55555555,
    0xaaaaaaaa, 0x01234567, 0x89abcdef, 3, 7, 8, 15, 16, 31, 32, 33, 0x12345, 0xffff0000, 0xff80ff7f, 0x80008000, 0x7fff7fff
};
static const u32 singles[16] = {
    0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7fa00001, 1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x4b000001,
    0x4f000000, 0xcf000000, 0x3f000000
};
static const u32 doubles[16] = {
    0, 0x80000000, 0x3ff00000, 0xbff00000, 0x7ff00000, 0xfff00000, 0x7ff80000, 0x7ff40001, 0x00100000, 0x7fefffff, 0x41e00000, 0xc1e00000,
    0x43e00000, 0x3fe00000, 0x36a00000, 0x47f00000
};
static const u32 extended[16] = { /* exponent | high word of the mantissa's top half << 16 */
    0x00000000, 0x00008000, 0x80003fff, 0x8000bfff, 0x80007fff, 0x8000ffff, 0xc0007fff, 0xa0007fff, 0x80000001, 0x00010000, 0xffff7ffe,
    0x8000403e, 0x8000c03e, 0xc90f4000, 0x80003ffe, 0xa0004008
};

static u32 value(void)
{
    u32 r = next();
    return r & 0x10000 ? edges[r & 31] : next();
}

/* 16 bytes: numbers of the kinds that instructions take. */
static void block(u32 *to)
{
    u32 r = next();
    switch (r & 7) {
    case 0: case 1: case 2:
        for (u32 i = 0; i < 4; i++)
            to[i] = next();
        return;
    case 3: case 4:
        for (u32 i = 0; i < 4; i++)
            to[i] = edges[r >> (8 + 5 * i) & 31];
        return;
    case 5:
        for (u32 i = 0; i < 4; i++)
            to[i] = singles[r >> (8 + 4 * i) & 15];
        return;
    case 6:
        to[0] = r & 0x80000 ? 0 : r;
        to[1] = doubles[r >> 8 & 15];
        to[2] = r & 0x100000 ? 0 : ~r;
        to[3] = doubles[r >> 12 & 15];
        return;
    default:
        to[0] = r & 0x80000 ? 0 : next();
        to[1] = (r & 0x40000 ? 0 : next() >> 16) | (extended[r >> 8 & 15] & 0xffff0000);
        to[2] = (extended[r >> 8 & 15] & 0xffff) | (r & 0xffff0000);
        to[3] = r;
    }
}

/* ---- the state before a case ----------------------------------------- */

static void make_fx(u32 options)
{
    u32 r = next();
    u16 *half = (u16 *)in_fx;
    u32 control = 0x37f, mxcsr = 0x1f80;
    if (!(r & 7))
        control = 0x7f | (r >> 4 & 0xf00);
    if (!(r & 0x7000000))
        mxcsr = 0x1f80 | (next() & 0xe07f);
    if (!(r & 0xf0) && !(options & PLAIN_FP)) {
        control &= ~(r >> 16 & 0x3f);
        mxcsr &= ~(r & 0x1f00000) >> 12 | ~0x1f80u;
    }
    half[0] = (u16)control;
    half[1] = (u16)(next() & (r & 0x300 ? 0x7f00 : 0x7f3f));
    half[2] = r & 0x1000 ? 0xff : r & 0x2000 ? 0 : (u16)(next() & 0xff);
    *(u32 *)(in_fx + 24) = mxcsr;
    for (u32 i = 0; i < 8; i++) {
        u32 *st = (u32 *)(in_fx + 32 + 16 * i);
        u32 kind = next();
        st[0] = kind & 0x100 ? 0 : next();
        st[1] = kind & 0x200 ? 0x80000000 : next();
        st[2] = next() & 0xffff;
        st[3] = 0;
        if (kind & 0x400) {
            u32 e = extended[kind & 15];
            st[1] = (st[1] & 0xffff) | (e & 0xffff0000);
            st[2] = e & 0xffff;
            if (kind & 0x800)
                st[0] = 0, st[1] &= 0xffff0000;
        } else if (kind & 0x1000) { /* ordinary sizes */
            st[1] |= 0x80000000;
            st[2] = (st[2] & 0x8000) | (0x3fff - 32 + (st[2] & 63));
        }
        block((u32 *)(in_fx + 160 + 16 * i));
        if (table.has_avx)
            block((u32 *)(in_high + 16 * i));
    }
}

static void make_state(const struct test_case *c)
{
    state = c->seed * 2654435761u + 0x9e3779b9u;
    if (!state)
        state = 1;
    for (u32 at = 0; at < PAGE_BYTES; at += 16)
        block((u32 *)(PAGE + at));
    make_fx(c->options);
    for (u32 i = 0; i < 8; i++)
        in_regs[i] = value();
    u32 r = next();
    if (r & 1)
        in_regs[1] &= 7;
    in_regs[3] = PAGE + 0x400 + (r >> 1 & 0xf0);
    in_regs[5] = PAGE + 0x600 + (r >> 5 & 0xf0);
    in_regs[6] = PAGE + 0x500 + (r >> 9 & 0xf0);
    in_regs[7] = PAGE + 0x700 + (r >> 13 & 0xf0);
    in_regs[4] = PAGE + 0xc00 + (r >> 20 & 0x3c);
    if (!(r >> 30)) {
        in_regs[6] += r >> 2 & 15;
        in_regs[7] += r >> 7 & 15;
        in_regs[3] += r >> 10 & 15;
        in_regs[4] += r >> 12 & 3;
    }
    r = next();
    in_flags = 0x202 | (r & 0x8d5) | (r & 0x70000 ? 0 : 0x400) | (!table.align_check || r & 0x1f00000 ? 0 : 0x40000);
    if (c->options & STEP)
        in_flags |= 0x100;
    in_code = c->code;
}

/* ---- results --------------------------------------------------------- */

static struct result result;
static const struct test_case *current;
static int is_dump;
static u32 traps;
/* LOOSE: arithmetic flags at a trap that nothing reads (docs/design.md) do not count. */

static void mix(const void *from, u32 bytes)
{
    const u32 *words = from;
    u32 a = result.hash[0], b = result.hash[1];
    for (u32 i = 0; i < bytes / 4; i += 2) {
        a = (a ^ words[i]) * 16777619u;
        b = (b ^ words[i + 1]) * 2246822519u;
        a ^= a >> 15;
        b ^= b >> 13;
    }
    result.hash[0] = a + b;
    result.hash[1] = b ^ (a << 7);
}

static void put(const struct record *r)
{
    mix(r, sizeof *r);
    if (is_dump)
        write_all(r, sizeof *r);
}

/* ---- signals --------------------------------------------------------- */

struct fpstate {
    u32 control, status, tags, ip[4];
    u8 st[80];
    u16 status_word, magic;
    u32 env[6], mxcsr, reserved;
    u8 fx_st[128], xmm[128], more[176];
    u32 software[12], xsave_header[16]; /* header: components that are not in their initial state, ... */
    u8 high[128];
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

#define XSTATE_MAGIC 0x46505853u

static struct record record;

static void handler(int signal, const u32 *info, struct ucontext *uc)
{
    struct context *c = &uc->c;
    const u32 regs[8] = { c->eax, c->ecx, c->edx, c->ebx, c->esp, c->ebp, c->esi, c->edi };
    const u32 segments[4] = { c->es & 0xffff, c->ds & 0xffff, c->fs & 0xffff, c->gs & 0xffff };
    record.signal = (u32)signal;
    record.code = info[2];
    record.address = info[3];
    record.trapno = c->trapno;
    record.error = c->error;
    record.cr2 = c->trapno == 14 ? c->cr2 : 0;
    copy(record.regs, regs, sizeof regs);
    record.eip = c->eip;
    if (current->options & LOOSE && c->trapno != 1)
        c->eflags &= ~0x8d5u;
    record.eflags = c->eflags & current->flags;
    copy(record.segments, segments, sizeof segments);
    record.control = c->fp->control & 0xffff;
    record.status = c->fp->status & 0xffff & (current->options & DEFINED ? ~0x4700u : ~0u);
    record.tags = c->fp->tags & 0xffff;
    record.mxcsr = c->fp->mxcsr;
    copy(record.st, c->fp->st, sizeof record.st);
    copy(record.xmm, c->fp->xmm, sizeof record.xmm);
    if (table.has_avx) {
        const struct fpstate *fp = c->fp;
        static const u8 none[sizeof record.high];
        copy(record.high, fp->software[0] == XSTATE_MAGIC && fp->xsave_header[0] & 4 ? fp->high : none, sizeof record.high);
    }
    put(&record);
    traps++;
    result.info = (traps < 255 ? traps : 255) | (c->trapno & 0xff) << 8 | (c->eip - current->code) << 16;
    if (c->trapno == 1 && traps < STEP_LIMIT && c->eip != (u32)finish)
        return;
    c->eip = (u32)finish;
    c->eflags &= ~0x40100u;
    c->fp->control |= 0x3f;
    c->fp->mxcsr |= 0x1f80;
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

/* %fs has the window as its base: seg_32bit, limit_in_pages, useable. */
static void set_fs(void)
{
    u32 entry[4] = { ~0u, WINDOW, 0xfffff, 1 | 1 << 4 | 1 << 6 };
    call(SYS_set_thread_area, (u32)entry, 0, 0, 0);
    __asm__ volatile("movw %w0, %%fs" : : "r"(entry[0] * 8 + 3));
}

/* ---- cases ----------------------------------------------------------- */

static void one_case(const struct test_case *c)
{
    current = c;
    traps = 0;
    result = (struct result){ { 2166136261u, 0x9e3779b9u }, 0 };
    make_state(c);
    enter_case();
    static struct record last;
    copy(last.regs, out_regs, sizeof last.regs);
    copy(last.segments, out_segments, sizeof last.segments);
    last.eflags = out_flags & c->flags;
    last.control = *(u16 *)out_fx;
    last.status = *(u16 *)(out_fx + 2) & (c->options & DEFINED ? ~0x4700u : ~0u);
    last.tags = out_fx[4];
    last.mxcsr = *(u32 *)(out_fx + 24);
    for (u32 i = 0; i < 8; i++)
        copy(last.st + 10 * i, out_fx + 32 + 16 * i, 10);
    copy(last.xmm, out_fx + 160, sizeof last.xmm);
    if (table.has_avx)
        copy(last.high, out_high, sizeof last.high);
    put(&last);
    mix((void *)PAGE, PAGE_BYTES);
    if (is_dump)
        write_all((void *)PAGE, PAGE_BYTES);
}

void start(u32 argc, char **argv)
{
    static struct result results[4096];
    u32 used = 0, only = 0;
    if (argc > 1)
        for (const char *s = argv[1]; *s; s++)
            only = 10 * only + (u32)(*s - '0');
    /* What a process has up there differs from run to run. */
    call(SYS_munmap, 0x40000000, 0xffffd000u - 0x40000000u, 0, 0);
    map(PAGE, PAGE_BYTES, table.prot);
    set_fs();
    install();
    use_high = (u8)table.has_avx;
    if (argc > 1) {
        is_dump = 1;
        one_case(&table.cases[only]);
        call(SYS_exit, 0, 0, 0, 0);
    }
    for (u32 i = 0; i < table.count; i++) {
        one_case(&table.cases[i]);
        results[used++] = result;
        if (used == sizeof results / sizeof *results || i + 1 == table.count) {
            write_all(results, used * sizeof *results);
            used = 0;
        }
    }
    call(SYS_exit, 0, 0, 0, 0);
}

#define HIGH(n) "  vinsertf128 $1, in_high+16*" #n ", %ymm" #n ", %ymm" #n "\n"
#define TAKE(n) "  vextractf128 $1, %ymm" #n ", out_high+16*" #n "\n"

/* esp is set last and may be anything afterwards; `finish` uses no stack until it has its own again. */
__asm__(".text\n"
        ".globl _start, enter_case\n"
        "_start: movl (%esp), %eax\n"
        "  leal 4(%esp), %edx\n"
        "  movl $stack_top, %esp\n"
        "  pushl %edx\n"
        "  pushl %eax\n"
        "  call start\n"
        /* Flags live behind this call: a lone ret in a case does not lose them. */
        "enter_case:\n"
        "  call run_case\n"
        "  lahf\n"
        "  ret\n"
        "run_case:\n"
        "  pushal\n"
        "  movl %esp, saved_esp\n"
        "  movw %gs, saved_gs\n"
        "  movw %fs, saved_fs\n"
        "  fxrstor in_fx\n"
        "  cmpb $0, use_high\n"
        "  je 1f\n"
        HIGH(0) HIGH(1) HIGH(2) HIGH(3) HIGH(4) HIGH(5) HIGH(6) HIGH(7)
        "1:\n"
        "  pushl in_flags\n"
        "  movl in_regs, %eax\n"
        "  movl in_regs+4, %ecx\n"
        "  movl in_regs+8, %edx\n"
        "  movl in_regs+12, %ebx\n"
        "  movl in_regs+20, %ebp\n"
        "  movl in_regs+24, %esi\n"
        "  movl in_regs+28, %edi\n"
        "  popfl\n"
        "  movl in_regs+16, %esp\n"
        "  jmp *in_code\n"
        ".section .finish,\"ax\"\n"
        ".globl finish\n"
        "finish:\n"
        "  movl %eax, %ss:out_regs\n"
        "  movl %esp, %ss:out_regs+16\n"
        "  movl %cs:saved_esp, %esp\n"
        "  pushfl\n"
        "  popl %ss:out_flags\n"
        "  pushl $2\n"
        "  popfl\n"
        "  movw %es, %ss:out_segments\n"
        "  movw %ds, %ss:out_segments+4\n"
        "  movw %fs, %ss:out_segments+8\n"
        "  movw %gs, %ss:out_segments+12\n"
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
        "  cmpb $0, use_high\n"
        "  je 1f\n"
        TAKE(0) TAKE(1) TAKE(2) TAKE(3) TAKE(4) TAKE(5) TAKE(6) TAKE(7)
        "1:\n"
        "  fninit\n"
        "  popal\n"
        "  ret\n"
        ".bss\n"
        ".globl in_regs, in_flags, in_code, out_regs, out_flags, out_segments, in_fx, out_fx, in_high, out_high, use_high\n"
        ".balign 16\n"
        "  .space 16384\n"
        "stack_top: .space 16\n"
        "in_fx: .space 512\n"
        "out_fx: .space 512\n"
        "in_high: .space 128\n"
        "out_high: .space 128\n"
        "in_regs: .space 32\n"
        "in_flags: .space 4\n"
        "in_code: .space 4\n"
        "out_regs: .space 32\n"
        "out_flags: .space 4\n"
        "out_segments: .space 16\n"
        "saved_esp: .space 4\n"
        "saved_gs: .space 2\n"
        "saved_fs: .space 2\n"
        "use_high: .space 1\n"
        ".section .note.GNU-stack,\"\",@progbits\n"
        ".text\n");
