/*
 * Caches whose contents are a lie, with correct hashes: what the verifier accepts of them runs, in a child
 * process, and nothing outside the guest's window may change.
 *
 * The child has canaries in host memory, in thread-local storage, on its stack and in the
 * callee-saved registers, and a seccomp filter that kills it for a system call from any code but the program's and
 * its libraries'. Addresses outside all mappings are their own canaries: the runtime passes faults there on to
 * the handler below.
 *
 *     test_hostile_cache                                 the slice of the test suite
 *     test_hostile_cache MUTANTS SEED                    so many accepted mutants (scripts/hostile.sh); SEED may be `fresh`
 *     test_hostile_cache --one GUEST SEED NUMBER         one of them, in this process
 */
#include <CUnit/Basic.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/hostile.h"
#include "tests/test_box.h"
#include "vxrt/internal.h"

#define BATCH 100u /* mutants for one child */
#define CANARY 0x5ca1ab1e0ddba115ull
#define CANARY_WORDS 2048u
#define RUN_NS 400000 /* of each mutant */
#define HANG_SECONDS 60

/* Guests that use what translated code is made of: memory, strings, calls, tables, the stack, x87, SSE. */
GUEST(hostile_mixed,
      "mov $0x0804a000, %esi\n mov $0x0804b000, %edi\n mov $40, %ecx\n cld\n rep movsl\n"
      "1: mov $0x0804a100, %ebx\n mov %ebx, (%ebx)\n add %ecx, 4(%ebx,%ecx,8)\n push %ebx\n call 5f\n pop %ebx\n"
      "lea 0x08049000+5f-guest_hostile_mixed, %eax\n call *%eax\n movl $0x08049000+6f-guest_hostile_mixed, 0x0804a200\n call *0x0804a200\n"
      "inc %ecx\n cmp $20, %ecx\n jb 1b\n"
      "lea 0x08049000+7f-guest_hostile_mixed, %edx\n jmp *%edx\n"
      "5: push %ebp\n mov %esp, %ebp\n sub $32, %esp\n fldpi\n fstpl -16(%ebp)\n movups (%ebx), %xmm0\n paddd %xmm0, %xmm1\n"
      "movups %xmm1, 16(%ebx)\n xchg %ah, 3(%ebx)\n lock addl $1, 8(%ebx)\n leave\n ret\n"
      "6: pusha\n mov $0x0804b800, %edi\n mov $16, %ecx\n xor %eax, %eax\n repne scasb\n std\n stosw\n cld\n popa\n ret\n"
      "7: shld $3, %eax, %ebx\n bts %ecx, 0x0804a300\n cmpxchg %edx, 0x0804a310\n mov $0, %ebx\n mov $1, %eax\n int $0x80\n"
      "xor %ecx, %ecx\n jmp 1b\n");
GUEST(hostile_pic,
      "call 1f\n1: pop %ebx\n lea 0x1000(%ebx), %ebx\n and $-4096, %ebx\n mov %esp, 64(%ebx)\n mov %ebx, %edi\n mov %ebx, %esi\n"
      "2: mov $5, %ecx\n3: lodsb\n mov %al, (%edi,%ecx)\n mov %gs:(%ecx), %edx\n loop 3b\n call 4f\n mov %eax, 12(%ebx)\n"
      "jecxz 5f\n nop\n5: int $0x80\n mov %ebx, %esi\n jmp 2b\n"
      "4: enter $16, $1\n mov 8(%ebp), %eax\n imul $3, %eax, %edx\n cvtsi2sd %edx, %xmm2\n movsd %xmm2, -8(%ebp)\n"
      "test %eax, %eax\n setnz %al\n leave\n ret $0\n");

GUEST(hostile_vector,
      "mov $0x0804a000, %esi\n1: vmovups (%esi), %ymm0\n vpaddd 32(%esi), %ymm0, %ymm1\n vpermq $0x1b, %ymm1, %ymm2\n"
      "vextracti128 $1, %ymm2, 64(%esi)\n vinsertf128 $1, 16(%esi), %ymm2, %ymm3\n vpbroadcastd 4(%esi,%ecx), %ymm4\n"
      "vfmadd231pd (%esi), %ymm1, %ymm5\n vcvtps2ph $0, %ymm5, 96(%esi)\n vcvtph2ps 96(%esi), %ymm6\n vpmaskmovd %ymm1, %ymm2, 128(%esi)\n"
      "vmaskmovps 128(%esi), %ymm2, %ymm7\n vmovntdq %ymm7, 160(%esi)\n vpshufb 192(%esi), %ymm7, %ymm7\n vmovd %xmm1, %eax\n"
      "vptest 16(%esi), %ymm3\n vzeroupper\n push %ebx\n call 2f\n pop %ebx\n and $31, %ecx\n mov $1, %eax\n int $0x80\n jmp 1b\n"
      "2: andn (%esi), %eax, %edx\n bextr %edx, 8(%esi), %ecx\n mulx 12(%esi), %ebx, %edi\n pdep %edi, %ebx, %ebx\n rorx $7, 20(%esi), %edi\n"
      "shlx %ecx, 24(%esi), %ebp\n sarx %ecx, %ebp, %ebp\n blsi 28(%esi), %edx\n tzcnt %edx, %edx\n lzcnt (%esi), %ecx\n movbe %edx, 32(%esi)\n"
      "vaesenc 48(%esi), %xmm0, %xmm0\n vpclmulqdq $1, 64(%esi), %xmm0, %xmm0\n ret\n");

/* What the child tells, in memory shared with the parent. */
struct report {
    uint64_t number;  /* the mutant at work */
    uint32_t guest;
    bool is_running;  /* inside vx_box_run */
    uint64_t tried, accepted, refused_at_load;
    uint64_t accepted_of[4]; /* each guest */
    uint64_t traps[32];
    char broken[80];  /* what a canary found */
};

static struct hostile_base bases[4];
static uint32_t base_count = 3; /* the last one needs AVX2 */
static struct report *report;
static uint64_t global_canary[CANARY_WORDS], *heap_canary, *low_canary;
static __thread uint64_t tls_canary[64];

/* ---- the walls ---- */

static void fill(uint64_t *canary, size_t words)
{
    for (size_t i = 0; i < words; i++)
        canary[i] = CANARY;
}

static void check(const uint64_t *canary, size_t words, const char *what)
{
    for (size_t i = 0; canary && i < words; i++)
        if (canary[i] != CANARY) {
            snprintf(report->broken, sizeof report->broken, "%s: word %zu is %016llx", what, i, (unsigned long long)canary[i]);
            _exit(99);
        }
}

static void on_host_fault(int number, siginfo_t *info, void *context)
{
    snprintf(report->broken, sizeof report->broken, "signal %d for host address %p", number, info->si_addr);
    _exit(98);
}

static void put_walls(void)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
    struct sigaction action = { .sa_sigaction = on_host_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &action, NULL);
    heap_canary = malloc(CANARY_WORDS * sizeof *heap_canary);
    /* where an access without the window's base would go */
    low_canary = mmap((void *)(uintptr_t)HOSTILE_DATA, CANARY_WORDS * sizeof *low_canary, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (low_canary == MAP_FAILED)
        low_canary = NULL;
    else
        fill(low_canary, CANARY_WORDS);
    fill(global_canary, CANARY_WORDS);
    fill(heap_canary, CANARY_WORDS);
    fill(tls_canary, 64);
}

/* Kill the process for system calls from outside the ranges that are executable now: translated code is not among them. */
static bool forbid_system_calls(void)
{
    struct sock_filter program[512];
    unsigned n = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512];
    const unsigned low = offsetof(struct seccomp_data, instruction_pointer), high = low + 4;
    while (maps && fgets(line, sizeof line, maps) && n < 500) {
        unsigned long long from, to;
        char prot[8];
        if (sscanf(line, "%llx-%llx %7s", &from, &to, prot) != 3 || prot[2] != 'x' || from >> 32 != (to - 1) >> 32)
            continue;
        program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, high);
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(from >> 32), 0, 4);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, low);
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t)from, 0, 2);
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (uint32_t)(to - 1) + 2, 1, 0);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    }
    if (maps)
        fclose(maps);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    struct sock_fprog filter = { (unsigned short)n, program };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/* ---- running one ---- */

static void check_flags(void)
{
    uint64_t flags;
    __asm__ volatile("pushfq\n\tpopq %0" : "=r"(flags));
    if (flags & (1u << 10 | 1u << 18 | 1u << 8)) {
        snprintf(report->broken, sizeof report->broken, "host flags %llx", (unsigned long long)flags);
        _exit(97);
    }
}

/* vx_box_run with known values in callee-saved registers; returns the bits that came back changed. */
uint64_t run_with_patterns(struct vx_box *box, struct vx_trap *trap, uint64_t pattern);
__asm__(".pushsection .text\n\t.type run_with_patterns, @function\nrun_with_patterns:\n\t"
        "pushq %rbx\n\tpushq %rbp\n\tpushq %r12\n\tpushq %r13\n\tpushq %r14\n\tpushq %r15\n\tpushq %rdx\n\t"
        "movq %rdx, %rbx\n\tmovq %rdx, %rbp\n\tmovq %rdx, %r12\n\tmovq %rdx, %r13\n\tmovq %rdx, %r14\n\tmovq %rdx, %r15\n\t"
        "call vx_box_run\n\tpopq %rdx\n\t"
        "xorq %rdx, %rbx\n\txorq %rdx, %rbp\n\txorq %rdx, %r12\n\txorq %rdx, %r13\n\txorq %rdx, %r14\n\txorq %rdx, %r15\n\t"
        "movq %rbx, %rax\n\torq %rbp, %rax\n\torq %r12, %rax\n\torq %r13, %rax\n\torq %r14, %rax\n\torq %r15, %rax\n\t"
        "popq %r15\n\tpopq %r14\n\tpopq %r13\n\tpopq %r12\n\tpopq %rbp\n\tpopq %rbx\n\tret\n\t"
        ".size run_with_patterns, .-run_with_patterns\n\t.popsection");

static __attribute__((noinline)) void run_guarded(struct vx_box *box, struct vx_trap *trap)
{
    uint64_t stack_canary[64];
    fill(stack_canary, 64);
    report->is_running = true;
    uint64_t changed = run_with_patterns(box, trap, CANARY);
    report->is_running = false;
    check_flags();
    if (changed) {
        snprintf(report->broken, sizeof report->broken, "a callee-saved register");
        _exit(96);
    }
    check(stack_canary, 64, "stack");
}

/* What a signal handler of the application that runs on the return stack may leave there. */
static uint64_t left_below;

static void leave_below(const struct vx_box *box)
{
    uint64_t *top = (uint64_t *)box->ctx->rsp_top;
    for (size_t i = 1; left_below && i < VXI_RETURN_STACK_BYTES / 8; i++)
        top[-(ptrdiff_t)i] = left_below;
}

static void run_file(const uint8_t *file, size_t size)
{
    struct vx_box_options options = { .size = sizeof options, .max_memory = 16u << 20, .no_dynamic = true };
    struct vx_error error;
    struct vx_image *image;
    struct vx_box *box;
    struct vx_stats stats;
    struct vx_regs regs;
    if (vx_image_open_memory(file, size, NULL, &image, &error) != VX_OK)
        return;
    bool is_used = vx_image_cache_status(image, &error) == VX_OK && vx_box_new(image, &options, &box, &error) == VX_OK;
    if (is_used) {
        struct vx_trap trap = { 0 };
        vx_box_map(box, 0xfff00000u, 0x10000, RW);
        vx_box_get_regs(box, &regs);
        regs.esp = 0xfff0f000u;
        regs.gs_base = 0xfff00000u;
        vx_box_set_regs(box, &regs);
        vx_box_set_time_limit(box, RUN_NS);
        leave_below(box);
        for (int i = 0; i < 50; i++) {
            run_guarded(box, &trap);
            report->traps[trap.kind % 32]++;
            if (trap.kind != VX_TRAP_SYSCALL)
                break;
        }
        vx_box_stats(box, &stats);
        is_used = stats.chunks_loaded > 0;
        vx_box_free(box);
    }
    vx_image_close(image);
    if (is_used) {
        report->accepted++;
        report->accepted_of[report->guest]++;
    } else {
        report->refused_at_load++;
    }
    check(global_canary, CANARY_WORDS, "globals");
    check(heap_canary, CANARY_WORDS, "heap");
    check(low_canary, CANARY_WORDS, "low memory");
    check(tls_canary, 64, "thread-local storage");
}

static void run_one(uint32_t guest, uint64_t seed, uint64_t number)
{
    size_t size;
    report->guest = guest;
    report->number = number;
    report->tried++;
    uint8_t *file = hostile_file(&bases[guest], seed + guest, number, &size);
    if (file)
        run_file(file, size);
    free(file);
}

/* ---- many ---- */

#define BASE(guest, is_dyn, cpu) hostile_base_of(guest_##guest, (size_t)(guest_##guest##_end - guest_##guest), is_dyn, cpu)

static void make_bases(void)
{
    uint32_t avx2;
    bases[0] = BASE(hostile_mixed, false, VX_CPU_DEFAULT);
    bases[1] = BASE(hostile_pic, true, VX_CPU_DEFAULT);
    bases[2] = BASE(hostile_pic, false, VX_CPU_DEFAULT);
    if (vxf_cpu_parse("avx2", 0, &avx2) && !(avx2 & ~(vxv_cpu_of_this_machine() | VX_CPU_RDTSCP)))
        bases[base_count++] = BASE(hostile_vector, false, avx2);
    report = mmap(NULL, sizeof *report, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* Mutants from `number` on, until `accepted` ran, each batch in a child. False: one broke out. */
static bool campaign(uint64_t accepted, uint64_t seed)
{
    for (uint64_t number = 0; report->accepted < accepted; number += BATCH * 4) {
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            alarm(HANG_SECONDS);
            put_walls();
            if (!forbid_system_calls())
                _exit(95);
            for (uint64_t i = number; i < number + BATCH * 4; i++)
                run_one((uint32_t)(i % base_count), seed, i);
            _exit(0);
        }
        int status;
        if (child < 0 || waitpid(child, &status, 0) != child)
            return false;
        if (status != 0) {
            fprintf(stderr, "mutant %llu of guest %u, seed %llu, %s: status %x %s\n", (unsigned long long)report->number, report->guest,
                    (unsigned long long)seed, report->is_running ? "running" : "between runs", status, report->broken);
            return false;
        }
    }
    return true;
}

static void print_report(uint64_t seed, double seconds)
{
    printf("%llu mutants, %llu accepted and run, %llu refused when loaded, seed %llu, %.1f s; traps:", (unsigned long long)report->tried,
           (unsigned long long)report->accepted, (unsigned long long)report->refused_at_load, (unsigned long long)seed, seconds);
    for (int kind = 0; kind < 32; kind++)
        if (report->traps[kind])
            printf(" %s %llu", vx_trap_name(kind), (unsigned long long)report->traps[kind]);
    fputs("; guests", stdout);
    for (uint32_t i = 0; i < base_count; i++)
        printf(" %llu", (unsigned long long)report->accepted_of[i]);
    putchar('\n');
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void test_slice(void)
{
    double start = now();
    CU_ASSERT_TRUE(campaign(2000, 1));
    print_report(1, now() - start);
    CU_ASSERT_TRUE(report->traps[VX_TRAP_SYSCALL] > 0 && report->traps[VX_TRAP_PAGE] > 0);
    for (uint32_t i = 0; i < base_count; i++)
        CU_ASSERT_TRUE(report->accepted_of[i] > 0);
}

/* Guest 0 with this host code at its entry and hlt everywhere else; runs in a child to the time limit, or it broke out. */
static void run_code(const uint8_t *code, size_t code_size)
{
    struct hostile_base *base = &bases[0];
    struct vxf_content content = base->content;
    uint8_t *zone = hostile_copy(content.code, content.zone_size);
    uint32_t entry = 0;
    size_t size = 0;
    memset(zone, 0xf4, content.zone_size);
    for (size_t i = 0; i < content.entry_count; i++)
        if (content.entries[i].guest == HOSTILE_CODE)
            entry = content.entries[i].host;
    memcpy(zone + entry, code, code_size);
    content.code = zone;
    CU_ASSERT_TRUE_FATAL(hostile_accepted(&content, 0, NULL, NULL));
    uint8_t *file = hostile_written(&content, &size);
    free(zone);
    uint64_t before = report->traps[VX_TRAP_LIMIT];
    pid_t child = fork();
    if (child == 0) {
        alarm(HANG_SECONDS);
        put_walls();
        run_file(file, size);
        _exit(0);
    }
    int status = -1;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    if (status)
        printf("status %x %s\n", status, report->broken);
    CU_ASSERT_EQUAL(report->traps[VX_TRAP_LIMIT], before + 1);
    free(file);
}

static void write_to_canary(void)
{
    global_canary[5] = 1;
}

/* Misses without a return before them took slots of the return stack that were never used, that others had written, then memory below it. */
static void test_miss_without_return(void)
{
    static const uint8_t miss[] = { 0x41, 0xb8, 0x00, 0x90, 0x04, 0x08, /* movl $HOSTILE_CODE,%r8d */
                                    0x41, 0xff, 0x67, 0x00 };           /* jmpq *VX_CTX_RETURN(%r15) */
    static const uint8_t call_and_miss[] = { 0xe8, 0, 0, 0, 0, 0x41, 0xb8, 0x00, 0x90, 0x04, 0x08, 0x41, 0xff, 0x67, 0x00 };
    /* three calls, so that a return pops one that was pushed; then on by a return that misses */
    static const uint8_t returns[] = { 0x41, 0xb8, 0x00, 0x90, 0x04, 0x08, 0xe8, 5, 0, 0, 0, 0x41, 0xff, 0x67, 0x00, 0xf4,
                                       0xe8, 0, 0, 0, 0, 0xc3 };
    /* first a miss, then, by way of the table, a return */
    static const uint8_t miss_and_return[] = { 0x83, 0xc3, 0x01, 0x83, 0xfb, 0x02, 0x74, 10, 0x41, 0xb8, 0x00, 0x90, 0x04, 0x08,
                                               0x41, 0xff, 0x67, 0x00, 0xc3 };
    run_code(miss, sizeof miss);
    run_code(call_and_miss, sizeof call_and_miss);
    run_code(returns, sizeof returns);
    left_below = (uint64_t)write_to_canary;
    run_code(call_and_miss, sizeof call_and_miss);
    run_code(miss_and_return, sizeof miss_and_return);
    left_below = 0;
}

static void escape_in_child(void (*escape)(void))
{
    pid_t child = fork();
    if (child == 0) {
        put_walls();
        if (!forbid_system_calls())
            _exit(95);
        escape();
        check(global_canary, CANARY_WORDS, "globals");
        _exit(0);
    }
    int status = 0;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_NOT_EQUAL(status, 0);
}

static void touch_nothing(void)
{
    *(volatile int *)(uintptr_t)0x12345000 = 1;
}

/* getpid from memory that became executable later. */
static void call_from_elsewhere(void)
{
    static const uint8_t code[] = { 0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3 };
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(page, code, sizeof code);
    mprotect(page, 4096, PROT_READ | PROT_EXEC);
    ((void (*)(void))(uintptr_t)page)();
}

/* The walls themselves: each of these must be noticed. */
static void test_walls(void)
{
    escape_in_child(write_to_canary);
    escape_in_child(touch_nothing);
    escape_in_child(call_from_elsewhere);
}

int main(int argc, char **argv)
{
    make_bases();
    if (argc == 5 && strcmp(argv[1], "--one") == 0) {
        put_walls();
        run_one((uint32_t)strtoul(argv[2], NULL, 10) % base_count, strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
        print_report(strtoull(argv[3], NULL, 10), 0);
        return 0;
    }
    if (argc == 3) {
        double start = now();
        uint64_t seed = strtoull(argv[2], NULL, 10);
        if (strcmp(argv[2], "fresh") == 0 && getrandom(&seed, sizeof seed, 0) != sizeof seed)
            return 2;
        bool good = campaign(strtoull(argv[1], NULL, 10), seed);
        print_report(seed, now() - start);
        return good ? 0 : 1;
    }
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("hostile caches", NULL, NULL);
    CU_add_test(suite, "the walls are there", test_walls);
    CU_add_test(suite, "a return miss without a return", test_miss_without_return);
    CU_add_test(suite, "mutants run", test_slice);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    for (uint32_t i = 0; i < base_count; i++)
        hostile_base_free(&bases[i]);
    return failures != 0;
}
