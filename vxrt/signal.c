/*
 * Signal handlers: faults and interrupts in translated code become exits.
 *
 * A handler does little: it recognises what is the running box's, stores the
 * registers in the context and sends the thread to the exit stub. Everything
 * else goes to the handler that was there before. Only faults at addresses
 * that the guest can name (window and guards) are taken: any other fault in
 * translated code would be an escape and is the host's to see.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "vxrt/internal.h"

#define PF_FETCH 16u
#define VECTOR_DIVIDE 0
#define VECTOR_DEBUG 1
#define VECTOR_UNDEFINED 6
#define VECTOR_PROTECTION 13
#define VECTOR_PAGE 14
#define VECTOR_X87 16
#define VECTOR_ALIGNMENT 17
#define VECTOR_SIMD 19
/* A signal frame that finds no room above the return stack's guard is reported as a fault without address. */
#define FRAME_BYTES 16384

static const int handled[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGURG };
static struct sigaction previous[NSIG];
static pthread_once_t install_once = PTHREAD_ONCE_INIT;
static vx_status install_status;

const char vxi_signal_mark;
__thread const uint8_t *vxi_copy_window __attribute__((tls_model("initial-exec")));
__thread struct vxi_reader *vxi_reader __attribute__((tls_model("initial-exec")));

bool vxi_in_code(const struct vx_box *box, uint64_t rip)
{
    if (vxi_zone_at(box, rip))
        return true;
    return box->units.zone && rip - (uint64_t)box->units.zone < box->units.used;
}

static bool is_between(uint64_t rip, const uint8_t *begin, const uint8_t *end)
{
    return rip >= (uint64_t)begin && rip < (uint64_t)end;
}

/* Leave for the exit stub with everything recorded. */
static void take(struct vxi_context *ctx, int number, const siginfo_t *info, ucontext_t *uc)
{
    greg_t *g = uc->uc_mcontext.gregs;
    ctx->regs.eax = (uint32_t)g[REG_RAX];
    ctx->regs.ecx = (uint32_t)g[REG_RCX];
    ctx->regs.edx = (uint32_t)g[REG_RDX];
    ctx->regs.ebx = (uint32_t)g[REG_RBX];
    ctx->regs.ebp = (uint32_t)g[REG_RBP];
    ctx->regs.esi = (uint32_t)g[REG_RSI];
    ctx->regs.edi = (uint32_t)g[REG_RDI];
    ctx->regs.eflags = (uint32_t)g[REG_EFL];
    ctx->r14 = (uint32_t)g[REG_R14];
    ctx->r8 = (uint32_t)g[REG_R8];
    ctx->r9 = (uint32_t)g[REG_R9];
    ctx->r10 = (uint32_t)g[REG_R10];
    ctx->r11 = (uint64_t)g[REG_R11];
    ctx->rcx = (uint64_t)g[REG_RCX];
    ctx->rsi = (uint64_t)g[REG_RSI];
    ctx->rdi = (uint64_t)g[REG_RDI];
    ctx->is_wide = 1;
    ctx->rsp = (uint64_t)g[REG_RSP];
    ctx->signal.number = number;
    ctx->signal.trapno = (uint32_t)g[REG_TRAPNO];
    ctx->signal.error = (uint32_t)g[REG_ERR];
    ctx->signal.rip = (uint64_t)g[REG_RIP];
    ctx->signal.address = (uint64_t)info->si_addr;
    g[REG_R15] = (greg_t)ctx;
    g[REG_RSP] = (greg_t)ctx->host_rsp;
    g[REG_EFL] = VXI_EFLAGS_FIXED;
    g[REG_RIP] = (greg_t)vxi_exit_signal;
}

/* The return stack is full: forget it. Returns then miss, and go on by address. */
static void empty_return_stack(const struct vxi_context *ctx, ucontext_t *uc)
{
    uc->uc_mcontext.gregs[REG_RSP] = (greg_t)ctx->rsp_top;
}

static bool is_guest_address(const struct vx_box *box, uint64_t address)
{
    return address - ((uint64_t)box->window - VXI_GUARD_BYTES) <
           VXI_WINDOW_BYTES + 2 * VXI_GUARD_BYTES;
}

/* The lowest usable slot of the return stack. */
static uint64_t return_stack_low(const struct vxi_context *ctx)
{
    return ctx->rsp_top + 8 - VXI_RETURN_STACK_BYTES;
}

static bool take_page_fault(const struct vxi_seat *seat, int number, const siginfo_t *info, ucontext_t *uc)
{
    uint64_t address = (uint64_t)info->si_addr;
    uint64_t rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    if ((uint64_t)uc->uc_mcontext.gregs[REG_ERR] & PF_FETCH) {
        /* A chunk of the cache that is not loaded yet; dynamic code is always there. */
        if (address != rip || !vxi_zone_at(seat->box, rip))
            return false;
        take(seat->ctx, number, info, uc);
        return true;
    }
    if (return_stack_low(seat->ctx) - 1 - address < VX_PAGE_BYTES) {
        empty_return_stack(seat->ctx, uc);
        return true;
    }
    if (!is_guest_address(seat->box, address))
        return false;
    take(seat->ctx, number, info, uc);
    return true;
}

/* True if the signal is a fault of the running box. rip is in translated code. */
static bool take_fault(const struct vxi_seat *seat, int number, const siginfo_t *info, ucontext_t *uc)
{
    struct vxi_context *ctx = seat->ctx;
    uint32_t trapno = (uint32_t)uc->uc_mcontext.gregs[REG_TRAPNO];
    uint64_t rsp = (uint64_t)uc->uc_mcontext.gregs[REG_RSP];
    bool is_ours = false;
    if (info->si_code <= 0)
        return false; /* sent, not a fault */
    switch (number) {
    case SIGSEGV:
        if (info->si_code == SI_KERNEL && rsp - return_stack_low(ctx) < FRAME_BYTES) {
            empty_return_stack(ctx, uc);
            return true;
        }
        if (info->si_code != SI_KERNEL && trapno == VECTOR_PAGE)
            return take_page_fault(seat, number, info, uc);
        is_ours = trapno == VECTOR_PROTECTION;
        break;
    case SIGBUS:
        if (trapno == VECTOR_PAGE)
            return take_page_fault(seat, number, info, uc);
        is_ours = trapno == VECTOR_ALIGNMENT;
        break;
    case SIGFPE:
        is_ours = trapno == VECTOR_DIVIDE || trapno == VECTOR_X87 || trapno == VECTOR_SIMD;
        break;
    case SIGILL:
        is_ours = trapno == VECTOR_UNDEFINED;
        break;
    case SIGTRAP:
        is_ours = trapno == VECTOR_DEBUG && ctx->stepping;
        /* The first trap comes after the jump here, before the instruction. */
        if (is_ours && ctx->stepping == VXI_STEP_ENTER) {
            ctx->stepping = VXI_STEP_INSIDE;
            return true;
        }
        break;
    default:
        break;
    }
    if (is_ours)
        take(ctx, number, info, uc);
    return is_ours;
}

/* TF stays on for an instruction or two outside of translated code. */
static bool step_through(const struct vxi_context *ctx, ucontext_t *uc)
{
    greg_t *g = uc->uc_mcontext.gregs;
    uint64_t rip = (uint64_t)g[REG_RIP];
    if (!ctx->stepping || g[REG_TRAPNO] != VECTOR_DEBUG)
        return false;
    if (is_between(rip, vxi_enter_begin, vxi_enter_end))
        return true;
    if (!is_between(rip, vxi_stubs_begin, vxi_stubs_end) && !is_between(rip, vxi_calls_begin, vxi_calls_end))
        return false;
    g[REG_EFL] &= ~(greg_t)VXI_EFLAGS_TF;
    return true;
}

/* A copy between host and guest memory met a page of a file that has shrunk. */
static bool end_copy(const siginfo_t *info, ucontext_t *uc)
{
    greg_t *g = uc->uc_mcontext.gregs;
    const struct vx_box *box = vxi_current ? vxi_current->box : NULL;
    bool is_words = g[REG_RIP] == (greg_t)vxi_words_insn || g[REG_RIP] == (greg_t)vxi_spread_insn;
    if (is_words && box && info->si_code > 0 && is_guest_address(box, (uint64_t)info->si_addr)) {
        g[REG_RIP] = (greg_t)vxi_words_fault;
        return true;
    }
    bool is_swap = g[REG_RIP] == (greg_t)vxi_swap_insn;
    if ((g[REG_RIP] != (greg_t)vxi_copy_insn && !is_swap) || !vxi_copy_window || info->si_code <= 0 ||
        (uint64_t)info->si_addr - (uint64_t)vxi_copy_window >= VXI_WINDOW_BYTES)
        return false;
    g[REG_RIP] = (greg_t)(is_swap ? vxi_swap_fault : vxi_copy_fault);
    return true;
}

/* The translator met such a page: what it has allocated is lost, so this is counted (dynamic.c). */
static void end_reading(const siginfo_t *info)
{
    struct vxi_reader *reader = vxi_reader;
    uint64_t offset = reader ? (uint64_t)info->si_addr - (uint64_t)reader->window : VXI_WINDOW_BYTES;
    if (offset >= VXI_WINDOW_BYTES || info->si_code <= 0)
        return;
    reader->page = (uint32_t)(offset / VX_PAGE_BYTES);
    vxi_reader = NULL;
    siglongjmp(reader->out, 1);
}

static void call_previous(int number, siginfo_t *info, void *context)
{
    const struct sigaction *action = &previous[number];
    if (!(action->sa_flags & SA_SIGINFO) &&
        (action->sa_handler == SIG_DFL || action->sa_handler == SIG_IGN)) {
        if (number == SIGURG || (action->sa_handler == SIG_IGN && info->si_code <= 0))
            return;
        /* Let the default happen: a fault repeats, a sent signal is sent again. */
        struct sigaction plain = { .sa_handler = SIG_DFL };
        sigaction(number, &plain, NULL);
        if (info->si_code <= 0 || number == SIGTRAP)
            raise(number);
        return;
    }
    sigset_t mask = action->sa_mask, old;
    if (!(action->sa_flags & SA_NODEFER))
        sigaddset(&mask, number);
    pthread_sigmask(SIG_BLOCK, &mask, &old);
    if (action->sa_flags & SA_SIGINFO)
        action->sa_sigaction(number, info, context);
    else
        action->sa_handler(number);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void on_fault(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    const struct vxi_seat *seat = vxi_current;
    ucontext_t *uc = context;
    bool is_ours = false;
    if (number == SIGBUS)
        end_reading(info);
    if ((number == SIGSEGV || number == SIGBUS) && end_copy(info, uc))
        is_ours = true;
    else if (seat && seat->ctx->inside && vxi_in_code(seat->box, (uint64_t)uc->uc_mcontext.gregs[REG_RIP]))
        is_ours = take_fault(seat, number, info, uc);
    else if (seat && number == SIGTRAP)
        is_ours = step_through(seat->ctx, uc);
    if (!is_ours)
        call_previous(number, info, context);
    errno = saved;
}

/*
 * True if the request is served: the thread leaves for the exit, or will check before it enters. Outside of
 * translated code (inside == 0) the list of zones is not looked at: another thread of the box may be changing it.
 */
static bool serve(const struct vxi_seat *seat, int number, const siginfo_t *info, ucontext_t *uc)
{
    struct vxi_context *ctx = seat->ctx;
    uint64_t rip = (uint64_t)uc->uc_mcontext.gregs[REG_RIP];
    if (!ctx->inside)
        return true;
    if (vxi_in_code(seat->box, rip)) {
        take(ctx, number, info, uc);
        return true;
    }
    if (is_between(rip, vxi_enter_begin, vxi_enter_end)) {
        uc->uc_mcontext.gregs[REG_R15] = (greg_t)ctx;
        uc->uc_mcontext.gregs[REG_RSP] = (greg_t)ctx->host_rsp;
        uc->uc_mcontext.gregs[REG_EFL] = VXI_EFLAGS_FIXED;
        uc->uc_mcontext.gregs[REG_RIP] = (greg_t)vxi_enter_abort;
        return true;
    }
    return false;
}

/*
 * SIGURG: somebody wants a box to stop, or its time is up. Where a handler of the
 * application, perhaps with another box, runs on top of the guest, nothing can be done
 * now; the request comes again.
 */
static void on_request(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    bool is_marked = (info->si_code == SI_QUEUE || info->si_code == SI_TIMER) &&
                     info->si_value.sival_ptr == (const void *)&vxi_signal_mark;
    for (const struct vxi_seat *seat = vxi_current; seat; seat = seat->outer) {
        if (is_marked && info->si_code == SI_TIMER)
            atomic_fetch_or(&seat->ctx->interrupt, VXI_INTERRUPT_TIMER);
        if (!atomic_load(&seat->ctx->interrupt))
            continue;
        if (seat == vxi_current ? !serve(seat, number, info, context) : seat->ctx->inside)
            vxi_retry_later(seat->ctx);
    }
    if (!is_marked)
        call_previous(number, info, context);
    errno = saved;
}

/*
 * ThreadSanitizer keeps signals back until the next call of the C library, which translated code never makes: under
 * it the handlers are installed behind its back. They may then interrupt it with a lock of its own held, which an
 * atomic operation that it watches would take again: this file is compiled without it.
 */
#ifdef VXI_UNDER_TSAN
extern int __sigaction(int number, const struct sigaction *action, struct sigaction *old);
#define sigaction(number, action, old) __sigaction(number, action, old)
#endif

static void install(void)
{
    for (size_t i = 0; i < sizeof handled / sizeof *handled; i++) {
        int number = handled[i];
        struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
        action.sa_sigaction = number == SIGURG ? on_request : on_fault;
        if (number == SIGURG)
            action.sa_flags |= SA_RESTART;
        sigemptyset(&action.sa_mask);
        sigaddset(&action.sa_mask, SIGURG);
        if (sigaction(number, NULL, &previous[number]) != 0 ||
            sigaction(number, &action, NULL) != 0)
            install_status = VX_ERR_UNSUPPORTED;
    }
}

vx_status vxi_signals_install(void)
{
    pthread_once(&install_once, install);
    return install_status;
}
