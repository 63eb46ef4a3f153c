/*
 * No guest instruction reaches the kernel. A child process runs every way to ask for a system call, and every
 * opcode, under a seccomp filter that stops what only the guest could have asked for: the call number that it holds
 * in eax, and any call made as i386 or x32 code makes it.
 */
#include <CUnit/Basic.h>
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "escape.h"

#define MAGIC 0x777u /* no system call's number */
#define X32_BIT 0x40000000u
#define ATTEMPT_LIMIT_NS 10000000000u /* never reached */
#define LOOP_LIMIT_NS 2000000u        /* a random opcode may be a loop */
enum { CHILD_GOOD = 0, CHILD_BAD = 1, CHILD_NO_FILTER = 2 };

static volatile sig_atomic_t reached;

static void on_sigsys(int number)
{
    (void)number;
    reached++;
}

static bool install_filter(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MAGIC, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    struct sigaction action = { .sa_handler = on_sigsys };
    if (sigaction(SIGSYS, &action, NULL) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return false;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* ---- attempts -------------------------------------------------------- */

struct attempt {
    const char *text;
    uint8_t size, code[16];
    enum vx_trap_kind kind;
    uint32_t eip; /* of the trap, from the code's start */
};
#define A(text, kind, eip, ...) { text, sizeof (uint8_t[]){ __VA_ARGS__ }, { __VA_ARGS__ }, kind, eip }

static const struct attempt attempts[] = {
    A("int 0x80", VX_TRAP_SYSCALL, 2, 0xcd, 0x80),
    A("int 0x2e", VX_TRAP_INTERRUPT, 0, 0xcd, 0x2e),
    A("int 0x81", VX_TRAP_INTERRUPT, 0, 0xcd, 0x81),
    A("int 0xff", VX_TRAP_INTERRUPT, 0, 0xcd, 0xff),
    A("int 0", VX_TRAP_INTERRUPT, 0, 0xcd, 0x00),
    A("syscall", VX_TRAP_UNDEFINED, 0, 0x0f, 0x05),
    A("sysenter", VX_TRAP_PROTECTION, 0, 0x0f, 0x34),
    A("sysexit", VX_TRAP_PROTECTION, 0, 0x0f, 0x35),
    A("sysret", VX_TRAP_UNDEFINED, 0, 0x0f, 0x07),
    A("vmcall", VX_TRAP_UNDEFINED, 0, 0x0f, 0x01, 0xc1),
    A("vmmcall", VX_TRAP_UNDEFINED, 0, 0x0f, 0x01, 0xd9),
    A("swapgs", VX_TRAP_UNDEFINED, 0, 0x0f, 0x01, 0xf8),
    A("wrgsbase", VX_TRAP_UNDEFINED, 0, 0xf3, 0x0f, 0xae, 0xd8),
    A("wrpkru", VX_TRAP_UNDEFINED, 0, 0x0f, 0x01, 0xef),
    A("xrstor", VX_TRAP_UNDEFINED, 0, 0x0f, 0xae, 0x28),
    A("xbegin", VX_TRAP_UNDEFINED, 0, 0xc7, 0xf8, 0, 0, 0, 0),
    A("lcall $7", VX_TRAP_PROTECTION, 0, 0x9a, 0, 0, 0, 0, 0x07, 0x00),
    A("lcall $0x33", VX_TRAP_PROTECTION, 0, 0x9a, 0, 0, 0, 0, 0x33, 0x00),
    A("ljmp $0x33", VX_TRAP_PROTECTION, 0, 0xea, 0, 0, 1, 0, 0x33, 0x00),
    A("ljmp $0x10", VX_TRAP_PROTECTION, 0, 0xea, 0, 0, 1, 0, 0x10, 0x00),
    A("push $0x33; push $x; retf", VX_TRAP_PROTECTION, 7, 0x6a, 0x33, 0x68, 0, 0, 1, 0, 0xcb),
    A("push fl cs ip; iret", VX_TRAP_PROTECTION, 8, 0x6a, 2, 0x6a, 0x33, 0x6a, 0, 0x66, 0x90, 0xcf),
    A("hlt", VX_TRAP_PROTECTION, 0, 0xf4),
    A("cli", VX_TRAP_PROTECTION, 0, 0xfa),
    A("sti", VX_TRAP_PROTECTION, 0, 0xfb),
    A("in al,dx", VX_TRAP_PROTECTION, 0, 0xec),
    A("in eax,imm", VX_TRAP_PROTECTION, 0, 0xe5, 0x80),
    A("out dx,eax", VX_TRAP_PROTECTION, 0, 0xef),
    A("rep insb", VX_TRAP_PROTECTION, 0, 0xf3, 0x6c),
    A("rep outsd", VX_TRAP_PROTECTION, 0, 0xf3, 0x6f),
    A("rdmsr", VX_TRAP_PROTECTION, 0, 0x0f, 0x32),
    A("wrmsr", VX_TRAP_PROTECTION, 0, 0x0f, 0x30),
    A("mov eax,cr0", VX_TRAP_PROTECTION, 0, 0x0f, 0x20, 0xc0),
    A("mov cr3,eax", VX_TRAP_PROTECTION, 0, 0x0f, 0x22, 0xd8),
    A("mov dr7,eax", VX_TRAP_PROTECTION, 0, 0x0f, 0x23, 0xf8),
    A("lgdt", VX_TRAP_PROTECTION, 0, 0x0f, 0x01, 0x10),
    A("lidt", VX_TRAP_PROTECTION, 0, 0x0f, 0x01, 0x18),
    A("invd", VX_TRAP_PROTECTION, 0, 0x0f, 0x08),
    A("wbinvd", VX_TRAP_PROTECTION, 0, 0x0f, 0x09),
    A("clts", VX_TRAP_PROTECTION, 0, 0x0f, 0x06),
    A("ud2", VX_TRAP_UNDEFINED, 0, 0x0f, 0x0b),
    A("call vsyscall", VX_TRAP_PAGE, 5, 0xb9, 0x00, 0x00, 0x60, 0xff, 0xff, 0xd1),
    A("call old vdso", VX_TRAP_PAGE, 5, 0xb9, 0x00, 0xe4, 0xff, 0xff, 0xff, 0xd1),
    A("read vsyscall", VX_TRAP_PAGE, 0, 0x8b, 0x0d, 0x00, 0x00, 0x60, 0xff),
    /* Into the immediate of the mov that follows: 0f 05, cd 80, 0f 34 as data and as code. */
    A("jump to 0f 05", VX_TRAP_UNDEFINED, 3, 0xeb, 0x01, 0xb8, 0x0f, 0x05, 0x90, 0x90),
    A("jump to cd 80", VX_TRAP_SYSCALL, 5, 0xeb, 0x01, 0xb8, 0xcd, 0x80, 0x90, 0x90),
    A("jump to 0f 34", VX_TRAP_PROTECTION, 3, 0xeb, 0x01, 0xb8, 0x0f, 0x34, 0x90, 0x90),
    A("over it, then into it", VX_TRAP_UNDEFINED, 1, 0xb9, 0x0f, 0x05, 0xcd, 0x80, 0xeb, 0xfa),
    A("constants", VX_TRAP_SYSCALL, 12, 0xb9, 0x0f, 0x05, 0x0f, 0x34, 0xba, 0xcd, 0x80, 0x0f, 0x05, 0xcd, 0x80),
};

/* Run from CODE with MAGIC in eax; what the trap was, and nothing else may have happened. */
static bool run_from(struct watched *w, const uint8_t *code, size_t size, uint64_t limit_ns, struct vx_trap *trap)
{
    struct vx_regs regs;
    uint64_t flags;
    vx_box_get_regs(w->box, &regs);
    regs = (struct vx_regs){ .eax = MAGIC, .ecx = 2, .edx = DATA, .ebx = DATA, .esp = STACK + 0x8000, .ebp = STACK + 0x8000,
                             .esi = DATA, .edi = DATA, .eip = CODE, .eflags = 0x202, .es = 0x2b, .cs = 0x23, .ss = 0x2b,
                             .ds = 0x2b };
    vx_box_set_regs(w->box, &regs);
    if (vx_box_poke(w->box, CODE, code, size) != VX_OK || vx_box_set_time_limit(w->box, limit_ns) != VX_OK ||
        vx_box_run(w->box, trap) != VX_OK)
        return false;
    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
    return !reached && !(flags & 0x1f7500) && trap->kind != VX_TRAP_ERROR;
}

static int try_attempts(struct watched *w)
{
    int bad = 0;
    for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
        const struct attempt *a = &attempts[i];
        uint8_t code[32];
        struct vx_trap trap;
        memset(code, 0xcc, sizeof code);
        memcpy(code, a->code, a->size);
        bool is_good = run_from(w, code, sizeof code, ATTEMPT_LIMIT_NS, &trap);
        uint32_t eip = trap.kind == VX_TRAP_PAGE && trap.access == VX_ACCESS_EXEC ? a->eip : trap.eip - CODE;
        if (is_good && trap.kind == a->kind && eip == a->eip)
            continue;
        bad++;
        fprintf(stderr, "\n  %s: %s at 0x%08x, kernel reached %d times", a->text, vx_trap_name(trap.kind), trap.eip, reached);
    }
    return bad;
}

static unsigned modrm_count = 4;

/* Every opcode of every map with some operands of each kind, and every prefix that could change its meaning. */
static int try_all(struct watched *w)
{
    static const uint8_t prefixes[] = { 0, 0x66, 0xf2, 0xf3, 0xf0, 0x64, 0x67, 0x2e };
    static const uint8_t modrms[] = { 0x03, 0xc1, 0x0b, 0xca, 0x13, 0xd3, 0x1b, 0xdc, 0x23, 0xe5, 0x2b, 0xee,
                                      0x33, 0xf7, 0x3b, 0xf8, 0xd0, 0x05 };
    int bad = 0;
    unsigned runs = 0;
    for (unsigned i = 0; i < 4 * 256 * 8 * modrm_count; i++) {
        uint8_t code[24], *p = code, opcode = (uint8_t)i;
        unsigned map = i / 256 % 4;
        struct vx_trap trap;
        memset(code, 0xcc, sizeof code);
        if (prefixes[i / 1024 % 8])
            *p++ = prefixes[i / 1024 % 8];
        if (map)
            *p++ = 0x0f;
        if (map >= 2)
            *p++ = map == 2 ? 0x38 : 0x3a;
        *p++ = opcode;
        *p = modrms[i / 8192];
        runs++;
        if (run_from(w, code, sizeof code, LOOP_LIMIT_NS, &trap))
            continue;
        if (bad++ < 10)
            fprintf(stderr, "\n  %s: %s at 0x%08x, status %d, kernel reached %d times", hex(code, (size_t)(p - code + 1)),
                    vx_trap_name(trap.kind), trap.eip, trap.status, reached);
    }
    fprintf(stderr, "%u runs ", runs);
    return bad;
}

/* ---- children -------------------------------------------------------- */

static int child(int (*tries)(struct watched *))
{
    unsigned failures = CU_get_number_of_failures();
    struct watched w = watch();
    CU_ASSERT_EQUAL(vx_box_map(w.box, CODE, CODE_BYTES, RX), VX_OK);
    if (!install_filter())
        return CHILD_NO_FILTER;
    /* The filter bites: as 64-bit code asks, and as the guest would, were it not translated. */
    syscall((long)MAGIC);
    if (reached != 1)
        return CHILD_BAD;
    reached = 0;
    int bad = tries(&w);
    check_host(&w);
    unsigned seen = 0;
    for (const CU_FailureRecord *f = CU_get_failure_list(); f; f = f->pNext)
        if (seen++ >= failures)
            fprintf(stderr, "\n  %s:%u: %s", f->strFileName, f->uiLineNumber, f->strCondition);
    return bad || CU_get_number_of_failures() != failures ? CHILD_BAD : CHILD_GOOD;
}

static void in_child(int (*tries)(struct watched *))
{
    int status = -1;
    fflush(NULL);
    pid_t pid = fork();
    CU_ASSERT_TRUE_FATAL(pid >= 0);
    if (pid == 0)
        _exit(child(tries));
    CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CHILD_NO_FILTER) {
        printf("skipped: no seccomp filters here ");
        return;
    }
    CU_ASSERT_EQUAL(status, 0);
    if (status)
        fprintf(stderr, "  child ended with status 0x%x\n", status);
}

static void test_attempts(void)
{
    in_child(try_attempts);
}

static void test_all(void)
{
    in_child(try_all);
}

/* With any argument: more operands for each opcode, half a minute. */
int main(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        modrm_count = 18;
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("escape_calls", NULL, NULL);
    CU_add_test(suite, "every way to ask for a system call", test_attempts);
    CU_add_test(suite, "every opcode", test_all);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures() + (CU_get_number_of_tests_run() == 0);
    CU_cleanup_registry();
    return failed != 0;
}
