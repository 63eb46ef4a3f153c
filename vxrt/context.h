/*
 * The runtime context: what r15 points to while translated code runs.
 *
 * Shared by C and the assembler. The first fields are those of the contract
 * (format/sandbox.h); the rest belongs to the runtime, and translated code
 * has no instruction that could reach it. One page, followed at once by
 * the table of indirect branches.
 */
#ifndef VXRT_CONTEXT_H
#define VXRT_CONTEXT_H

/* Offsets for enter.S; checked against the struct below. */
#define VXI_CTX_INTERRUPT 0x18
#define VXI_CTX_STEPPING 0x1c
#define VXI_CTX_HOST_RSP 0x20
#define VXI_CTX_RSP 0x28
#define VXI_CTX_RSP_TOP 0x30
#define VXI_RETURN_STACK_BYTES 0x100000
#define VXI_CTX_ENTRY 0x38
#define VXI_CTX_MISS 0x40
#define VXI_CTX_WINDOW 0x48
#define VXI_CTX_REGS 0x50 /* eax ecx edx ebx esp ebp esi edi eip eflags */
#define VXI_CTX_R14 0x8c
#define VXI_CTX_R8 0x90
#define VXI_CTX_R9 0x94
#define VXI_CTX_R10 0x98
#define VXI_CTX_R11 0xa0
#define VXI_CTX_FLAGS 0xa8
#define VXI_CTX_INSIDE 0xb4
#define VXI_CTX_RCX 0xb8
#define VXI_CTX_RSI 0xc0
#define VXI_CTX_RDI 0xc8
#define VXI_CTX_IS_WIDE 0xd0
#define VXI_CTX_RETURN_MISSES 0xd8
#define VXI_CTX_HAS_AVX 0x108
#define VXI_CTX_HOST_MXCSR 0x110
#define VXI_CTX_HOST_CONTROL 0x114
#define VXI_CTX_FX 0x120
#define VXI_CTX_RESULT 0x320
#define VXI_CTX_IS_FLOAT 0x330
#define VXI_CTX_TABLE 0x1000

/* What vxi_enter returns. */
#define VXI_EXIT_MISS 0   /* table miss: r8 = target */
#define VXI_EXIT_RETURN 1 /* continuation mismatch: r8 = target */
#define VXI_EXIT_UNDERFLOW 2 /* the same, and the return stack is empty */
#define VXI_EXIT_EVENT 3  /* r8, r9, r10 */
#define VXI_EXIT_SIGNAL 4 /* a signal handler took the state: ctx->signal */
#define VXI_EXIT_ABORT 5  /* interrupted before the guest was entered: nothing changed */
#define VXI_EXIT_DONE 6   /* returned to VX_GATE_RETURN: regs eax edx esp; x87 and SSE are the host's */
#define VXI_EXIT_HOST 7   /* a host function failed or suspended; x87 and SSE are the host's */
/* In a box with threads, what became of an exit while the thread was brought to a boundary (turns.c). */
#define VXI_EXIT_AGAIN 8   /* go on at regs.eip */
#define VXI_EXIT_FAULT 9   /* a fault: eip and esp are known, ctx->signal says the rest */
#define VXI_EXIT_TRAPPED 10 /* a trap */

/* What vxi_host_call returns: result in eax and edx, or in ctx->result; or leave. */
#define VXI_HOST_INT 0
#define VXI_HOST_FLOAT 1
#define VXI_HOST_TRAP 2

/* ctx->is_float */
#define VXI_DOUBLE 1
#define VXI_FLOAT 2

/* ctx->stepping */
#define VXI_STEP_NONE 0
#define VXI_STEP_ENTER 1  /* about to enter */
#define VXI_STEP_INSIDE 2 /* the next trap is after one instruction */

/* Bits of ctx->interrupt. */
#define VXI_INTERRUPT_STOP 1
#define VXI_INTERRUPT_TIMER 2
#define VXI_INTERRUPT_PAUSE 4 /* another thread of the box wants this one at a boundary */

/*
 * EFLAGS: those that the processor has for the guest (CF PF AF ZF SF DF OF); those
 * that are only kept for it (TF, NT, AC, ID); and what is always there. AC is never loaded: the
 * kernel does not clear it for signal handlers, which would then trip over it.
 */
#define VXI_EFLAGS_GUEST 0xcd5
#define VXI_EFLAGS_KEPT 0x244100
#define VXI_EFLAGS_FIXED 0x202
#define VXI_EFLAGS_TF 0x100

/* The gate: guest addresses that stand for the host. Its pages are plain data, not executable; the table leads to call.S. */
#define VX_GATE_BASE 0xfffe0000
#define VX_GATE_BYTES 0x10000
#define VX_GATE_RETURN VX_GATE_BASE     /* where a function called by the host returns to */
#define VX_GATE_IMPORTS (VX_GATE_BASE + 16)
#define VX_GATE_STRIDE 4

#ifndef __ASSEMBLER__

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "format/sandbox.h"
#include "vxrt.h"

/* State that a signal handler leaves for the code after the exit. */
struct vxi_signal {
    int number;        /* signal */
    uint32_t trapno;   /* processor's vector */
    uint32_t error;    /* page fault error code */
    uint64_t rip;      /* host address, in translated code */
    uint64_t address;  /* fault address (host) */
};

struct vxi_context {
    uint64_t return_stub;
    uint64_t event_stub;
    uint32_t fs_base, gs_base;
    _Atomic uint32_t interrupt; /* VXI_INTERRUPT_*, set from other threads and handlers */
    uint32_t stepping;          /* VXI_STEP_*: TF is on, a SIGTRAP in translated code is ours */
    uint64_t host_rsp;
    uint64_t rsp;               /* the guest's return stack */
    uint64_t rsp_top;           /* address of the sentinel slot */
    uint64_t entry;             /* host address to enter at */
    uint64_t miss_stub;
    uint64_t window;
    struct vx_regs regs;
    uint32_t r14;
    uint32_t r8, r9, r10;
    uint64_t r11;
    uint64_t flags;             /* EFLAGS to enter with */
    uint32_t kept_flags;        /* the guest's TF, NT, AC and ID */
    uint32_t inside;            /* 1 from the entry's check of `interrupt` to the exit */
    /* In the middle of a listed sequence (sandbox.h) these three are wider than the guest's: as a signal found
     * them, for going on at exactly the same place. Without the window's base a string instruction would
     * leave the window. */
    uint64_t rcx, rsi, rdi;
    uint32_t is_wide;           /* the three are in force; set by signal handlers, cleared by every other exit */
    uint64_t return_misses;
    struct vxi_signal signal;
    uint64_t dispatches;
    uint32_t has_avx;
    uint32_t is_x87_idle;       /* fx holds an initial x87 state but for the registers' contents */
    uint32_t host_mxcsr;        /* the host's, while the guest runs */
    uint16_t host_control;      /* x87 control word */
    uint8_t fx[512] __attribute__((aligned(16)));
    /* Calls: a float or double result from the guest, a double to it. */
    uint8_t result[16];
    uint32_t is_float;          /* VXI_FLOAT, VXI_DOUBLE: the call in progress returns one; else 0 */
    int retry_timer;            /* kernel's number of the timer that repeats a request */
    int retry_thread;           /* to whom; 0 = no such timer */
    uint32_t has_ymm;           /* the guest's CPU has AVX */
    uint8_t ymm[128] __attribute__((aligned(16))); /* the upper halves of ymm0-7 */
};

_Static_assert(offsetof(struct vxi_context, return_stub) == VX_CTX_RETURN, "contract");
_Static_assert(offsetof(struct vxi_context, event_stub) == VX_CTX_EVENT, "contract");
_Static_assert(offsetof(struct vxi_context, fs_base) == VX_CTX_FS_BASE, "contract");
_Static_assert(offsetof(struct vxi_context, gs_base) == VX_CTX_GS_BASE, "contract");
_Static_assert(offsetof(struct vxi_context, interrupt) == VXI_CTX_INTERRUPT, "enter.S");
_Static_assert(offsetof(struct vxi_context, host_rsp) == VXI_CTX_HOST_RSP, "enter.S");
_Static_assert(offsetof(struct vxi_context, rsp) == VXI_CTX_RSP, "enter.S");
_Static_assert(offsetof(struct vxi_context, rsp_top) == VXI_CTX_RSP_TOP, "enter.S");
_Static_assert(offsetof(struct vxi_context, entry) == VXI_CTX_ENTRY, "enter.S");
_Static_assert(offsetof(struct vxi_context, miss_stub) == VXI_CTX_MISS, "enter.S");
_Static_assert(offsetof(struct vxi_context, window) == VXI_CTX_WINDOW, "enter.S");
_Static_assert(offsetof(struct vxi_context, regs) == VXI_CTX_REGS, "enter.S");
_Static_assert(offsetof(struct vxi_context, r14) == VXI_CTX_R14, "enter.S");
_Static_assert(offsetof(struct vxi_context, r8) == VXI_CTX_R8, "enter.S");
_Static_assert(offsetof(struct vxi_context, r9) == VXI_CTX_R9, "enter.S");
_Static_assert(offsetof(struct vxi_context, r10) == VXI_CTX_R10, "enter.S");
_Static_assert(offsetof(struct vxi_context, r11) == VXI_CTX_R11, "enter.S");
_Static_assert(offsetof(struct vxi_context, flags) == VXI_CTX_FLAGS, "enter.S");
_Static_assert(VX_CTX_TABLE == VXI_CTX_TABLE, "contract");
_Static_assert(offsetof(struct vxi_context, stepping) == VXI_CTX_STEPPING, "enter.S");
_Static_assert(offsetof(struct vxi_context, return_misses) == VXI_CTX_RETURN_MISSES, "enter.S");
_Static_assert(offsetof(struct vxi_context, rcx) == VXI_CTX_RCX, "enter.S");
_Static_assert(offsetof(struct vxi_context, rsi) == VXI_CTX_RSI, "enter.S");
_Static_assert(offsetof(struct vxi_context, rdi) == VXI_CTX_RDI, "enter.S");
_Static_assert(offsetof(struct vxi_context, is_wide) == VXI_CTX_IS_WIDE, "enter.S");
_Static_assert(offsetof(struct vxi_context, flags) == VXI_CTX_FLAGS, "enter.S");
_Static_assert(offsetof(struct vxi_context, inside) == VXI_CTX_INSIDE, "enter.S");
_Static_assert(offsetof(struct vxi_context, has_avx) == VXI_CTX_HAS_AVX, "call.S");
_Static_assert(offsetof(struct vxi_context, host_mxcsr) == VXI_CTX_HOST_MXCSR, "call.S");
_Static_assert(offsetof(struct vxi_context, host_control) == VXI_CTX_HOST_CONTROL, "call.S");
_Static_assert(offsetof(struct vxi_context, fx) == VXI_CTX_FX, "call.S");
_Static_assert(offsetof(struct vxi_context, result) == VXI_CTX_RESULT, "call.S");
_Static_assert(offsetof(struct vxi_context, is_float) == VXI_CTX_IS_FLOAT, "call.S");
_Static_assert(sizeof(struct vxi_context) <= VX_CTX_TABLE, "the table follows the page");
_Static_assert(sizeof(_Atomic uint32_t) == 4, "enter.S");

/* The table slot of a guest address. A macro, so that code without SSE can use it. */
#define VXI_SLOT(ctx, addr) ((uint64_t *)((uint8_t *)(ctx) + VX_CTX_TABLE) + (uint32_t)(addr))

/* enter.S. Enters translated code at ctx->entry; returns VXI_EXIT_*. */
int vxi_enter(struct vxi_context *ctx);
/* Copy n bytes; the number of bytes not copied (a fault in a mapped file that shrank). */
size_t vxi_copy(void *dst, const void *src, size_t n);

/* One step of compare and exchange; *value: what was there. 0: a fault, as with vxi_copy. */
int vxi_swap(void *at, uint32_t *value, uint32_t new);

/* call.S. Runs ctx->entry as a call of ctx->regs.eip; returns VXI_EXIT_*. */
int vxi_call(struct vxi_context *ctx);
/* hostcall.c, from call.S: the guest called the import at ctx->regs.eip. Returns VXI_HOST_*, and leaves the guest's return
 * address in ctx->regs.eip. */
int vxi_host_call(struct vxi_context *ctx);
/* Copy n > 0 words to the running box's window; or from there, each to 8 bytes. The number of words not copied: a fault. */
size_t vxi_copy_words(void *window, const uint32_t *src, size_t n);
size_t vxi_spread_words(void *dst, const void *window, size_t n);
extern const uint8_t vxi_call_done[], vxi_stub_host[], vxi_calls_begin[], vxi_calls_end[];
extern const uint8_t vxi_words_insn[], vxi_spread_insn[], vxi_words_fault[];

/* Labels in enter.S: code addresses, never called from C. */
extern const uint8_t vxi_stub_miss[], vxi_stub_return[], vxi_stub_underflow[], vxi_stub_event[];
extern const uint8_t vxi_enter_begin[], vxi_enter_end[], vxi_enter_abort[];
extern const uint8_t vxi_stubs_begin[], vxi_stubs_end[];
extern const uint8_t vxi_exit_signal[];
extern const uint8_t vxi_copy_insn[], vxi_copy_fault[], vxi_swap_insn[], vxi_swap_fault[];

#endif
#endif
