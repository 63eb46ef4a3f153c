/*
 * The plug-in of test_call.c: freestanding, position-independent, built by gcc -m32 -shared.
 */
#include <stdarg.h>
#include <stdint.h>

/* What the host gives. */
int host_add(int a, int b);
int64_t host_mixed(int a, int64_t b, float c, double d, const char *p);
float host_float(float x);
double host_double(double x);
int host_sum(int count, ...);
int host_nest(int depth);
void host_log(const char *text);
int host_fail(int code);
int host_wait(int value);
double host_wait_double(void);
__attribute__((weak)) int host_never(int x);

int add(int a, int b) { return a + b; }
void nothing(void) {}
int64_t add64(int64_t a, int64_t b) { return a + b; }
float addf(float a, float b) { return a + b; }
double addd(double a, double b) { return a + b; }
char *advance(char *p, int n) { return p + n; }
double mixed(int a, int64_t b, float c, double d, const char *p) { return a + (double)b + c + d + *p; }

/* What cdecl says of the stack at a call: aligned to 16 before the return address. */
__attribute__((naked)) int stack_remainder(void) { __asm__("leal 4(%esp), %eax\n\tandl $15, %eax\n\tret"); }

/* A mix of all arguments, told apart by letters as in vx_call.h. float by its bits: variable arguments would promote it. */
static uint64_t mix(const char *kinds, va_list args)
{
    uint64_t hash = 0x9e3779b97f4a7c15u;
    for (; *kinds; kinds++) {
        uint64_t value;
        switch (*kinds) {
        case 'l': value = (uint64_t)va_arg(args, int64_t); break;
        case 'd': { union { double d; uint64_t u; } bits = { va_arg(args, double) }; value = bits.u; break; }
        default: value = va_arg(args, uint32_t); break;
        }
        hash = (hash ^ value ^ (uint64_t)*kinds << 56) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 29;
    }
    return hash;
}
#define MIX(type, name, expression)                                                                     \
    type name(const char *kinds, ...)                                                                   \
    {                                                                                                   \
        va_list args;                                                                                   \
        va_start(args, kinds);                                                                          \
        uint64_t hash = mix(kinds, args);                                                               \
        va_end(args);                                                                                   \
        return expression;                                                                              \
    }
MIX(uint32_t, mix_i, (uint32_t)hash)
MIX(uint64_t, mix_l, hash)
MIX(float, mix_f, (float)(int32_t)hash * 0.25f)
MIX(double, mix_d, (double)(int64_t)hash * 0.5)
MIX(const char *, mix_p, (const char *)(uintptr_t)(uint32_t)(hash >> 7))
uint64_t mix_last;
void mix_v(const char *kinds, ...)
{
    va_list args;
    va_start(args, kinds);
    mix_last = mix(kinds, args);
    va_end(args);
}

/* Calls of host functions. */
int call_add(int a, int b) { return host_add(a, b) + 1; }
int call_add_often(int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum = host_add(sum, i);
    return sum;
}
int64_t call_mixed(int a) { return host_mixed(a, a * (int64_t)0x100000001, a * 0.5f, a * 0.25, "text") * 2; }
double call_floats(double x) { return host_float((float)x) + host_double(x) * 0.5; }
int call_sum(void) { return host_sum(5, 1, 2, 3, 4, 5); }
int call_nest(int depth) { return host_nest(depth) + 1; }
void call_log(void) { host_log("hello from the guest"); }
int call_nest_raw(int depth) { return host_nest(depth); }
int call_fail(int code) { return host_fail(code); }
int call_wait(int value) { return host_wait(value) + 100; }
double call_wait_double(void) { return host_wait_double() + 0.5; }
int call_never(int x) { return host_never ? host_never(x) : -1; }

/* Traps and the like. */
int divide(int a, int b) { return a / b; }
int peek(const int *p) { return *p; }
int poke(int *p) { return *p = 7; }
void undefined(void) { __asm__ volatile("ud2"); }
int system_call(int n) { int r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(n) : "memory"); return r; }
void spin(void) { for (;;) __asm__ volatile(""); }
void spin_host(void) { for (;;) host_add(1, 2); }
int recurse(int n) { volatile char pad[256]; pad[0] = (char)n; return n ? recurse(n - 1) + pad[0] : 0; }
int recurse_then_nest(int n) { volatile int pad[4]; pad[0] = n; return n ? recurse_then_nest(n - 1) + pad[0] * 0 : host_nest(1); }

/* longjmp over the host: back into a frame below it. */
static void *jump[5];
int jumper(void) { __builtin_longjmp(jump, 1); }
int jump_out(void)
{
    if (__builtin_setjmp(jump))
        return 42;
    return host_nest(-1);
}

/* Initialisers, data with relocations, thread-local storage. */
static int order[4], orders;
__attribute__((constructor(101))) static void first(void) { order[orders++] = 1; }
__attribute__((constructor(102))) static void second(void) { order[orders++] = 2; }
int constructed(void) { return orders * 100 + order[0] * 10 + order[1]; }
static const char *const words[] = { "zero", "one", "two" };
const char *word(int i) { return words[i]; }
int (*const table[])(int, int) = { add, host_add };
int through_table(int i, int a, int b) { return table[i](a, b); }
static __thread int local = 5;
__thread int local_exported = 6;
static __thread int zero_local;
int thread_local_sum(void) { return local++ * 100 + local_exported++ * 10 + zero_local++; }
int exported_object = 77;
#ifdef __pic__ /* the linker wants no indirect functions in other code */
static int twice(int x) { return 2 * x; }
static int (*resolve_twice(void))(int) { return twice; }
int indirect(int) __attribute__((ifunc("resolve_twice")));
int call_indirect(int x) { return indirect(x); }
#endif

/* Frames for a backtrace. */
#define FRAMED __attribute__((noinline))
FRAMED int frame_inner(int *p) { return *p + host_add(1, 2); }
FRAMED int frame_middle(int *p) { return frame_inner(p) + 1; }
FRAMED int frame_outer(int *p) { return frame_middle(p) + 1; }
FRAMED int frame_host(int code) { return host_fail(code) + 1; }
FRAMED int frame_nest(void) { return host_nest(-2) + 1; }

/* State at the crossing. */
__attribute__((naked)) void leave_direction(void) { __asm__("std\n\tret"); }
__attribute__((naked)) void leave_mmx(void) { __asm__("movd %esp, %mm3\n\tpaddd %mm3, %mm3\n\tret"); }
__attribute__((naked)) void leave_control(void)
{
    __asm__("pushl $0x1f80 + 0x6000 - 0x400\n\tldmxcsr (%esp)\n\tmovl $0xf7b, (%esp)\n\tfldcw (%esp)\n\tpopl %eax\n\tret");
}
int read_control(void)
{
    uint16_t control;
    uint32_t mxcsr;
    __asm__ volatile("fnstcw %0\n\tstmxcsr %1" : "=m"(control), "=m"(mxcsr));
    return (int)(mxcsr << 16 | control);
}
__attribute__((naked)) void pending_x87(void)
{
    __asm__("pushl $0x37b\n\tfldcw (%esp)\n\tpopl %eax\n\tfld1\n\tfldz\n\tfdivrp\n\tret");
}
__attribute__((naked)) double empty_double(void) { __asm__("ret"); }
/* What is in the registers when a function begins, and after a host function. */
struct seen { uint8_t xmm[8][16]; uint8_t mm[8][8]; uint32_t gpr[7]; uint16_t status; } seen;
#define LOOK(name, before)                                                                              \
    __attribute__((naked)) void name(__attribute__((unused)) struct seen *to)                                                   \
    {                                                                                                   \
        __asm__("pushl %ebx\n\tpushl %esi\n\tpushl %edi\n\t" before                                     \
                "movl %eax, -4(%esp)\n\tmovl 16(%esp), %eax\n\t"                                        \
                "movups %xmm0, (%eax)\n\tmovups %xmm1, 16(%eax)\n\tmovups %xmm2, 32(%eax)\n\tmovups %xmm3, 48(%eax)\n\t" \
                "movups %xmm4, 64(%eax)\n\tmovups %xmm5, 80(%eax)\n\tmovups %xmm6, 96(%eax)\n\tmovups %xmm7, 112(%eax)\n\t" \
                "fnstsw 220(%eax)\n\t"                                                                  \
                "movq %mm0, 128(%eax)\n\tmovq %mm1, 136(%eax)\n\tmovq %mm2, 144(%eax)\n\tmovq %mm3, 152(%eax)\n\t" \
                "movq %mm4, 160(%eax)\n\tmovq %mm5, 168(%eax)\n\tmovq %mm6, 176(%eax)\n\tmovq %mm7, 184(%eax)\n\temms\n\t" \
                "movl %ecx, 196(%eax)\n\tmovl %edx, 200(%eax)\n\tmovl %ebx, 204(%eax)\n\tmovl %ebp, 208(%eax)\n\t" \
                "movl %esi, 212(%eax)\n\tmovl %edi, 216(%eax)\n\tmovl -4(%esp), %ecx\n\tmovl %ecx, 192(%eax)\n\t"  \
                "popl %edi\n\tpopl %esi\n\tpopl %ebx\n\tret");                                          \
    }
LOOK(look, "")
LOOK(look_after_host, "call 1f\n1:\tpopl %ebx\n\taddl $_GLOBAL_OFFSET_TABLE_+(.-1b), %ebx\n\tpushl $0\n\tpushl $0\n\tcall host_dirty@PLT\n\taddl $8, %esp\n\t")
int host_dirty(int, int);
int missing_function(int);
int call_missing(int x) { return missing_function(x); }
double x87_work(double x) { long double y = x; for (int i = 0; i < 10; i++) y = y / 3 + 1; return (double)y; }

/* Call `function` with `count` words of arguments, and return what it returns: eax, edx and st0 pass through. */
#define RELAY(type, name)                                                                               \
    __attribute__((naked)) type name(void *function, const uint32_t *words, int count)                  \
    {                                                                                                   \
        (void)function, (void)words, (void)count;                                                       \
        __asm__("pushl %ebp\n\tmovl %esp, %ebp\n\tpushl %esi\n\tpushl %edi\n\t"                         \
                "movl 16(%ebp), %ecx\n\tmovl 12(%ebp), %esi\n\tleal 0(,%ecx,4), %eax\n\t"              \
                "subl %eax, %esp\n\tmovl %esp, %edi\n\trep movsl\n\tcall *8(%ebp)\n\t"                 \
                "leal -8(%ebp), %esp\n\tpopl %edi\n\tpopl %esi\n\tpopl %ebp\n\tret");                 \
    }
RELAY(void, relay_v)
RELAY(int, relay_i)
RELAY(int64_t, relay_l)
RELAY(float, relay_f)
RELAY(double, relay_d)
RELAY(void *, relay_p)
