/*
 * Signal frames on the guest's stack, laid out as the i386 kernel does
 * (arch/x86: sigframe_ia32, rt_sigframe_ia32, FP state above the frame), and
 * the two returns from them.
 */
#include <string.h>

#include "format/cpu.h"
#include "vxrt/linux/calls.h"

#define FLAG_DF 0x400u
#define FX_MXCSR 24
/* Where the guest's CPU has AVX an XSAVE area goes on behind the fxsave image: header, upper halves of ymm registers, the end's
 * mark. The image's last words say so. */
#define XSTATE_BYTES 832u /* with the fxsave image */
#define UC_FP_XSTATE 1u
#define XFEATURES 7u /* x87, SSE, AVX */
#define XFEATURE_AVX 4u
/* What a frame may change: CF PF AF ZF SF TF DF OF AC; not IF, IOPL. */
#define FLAGS_RESTORED 0x40dd5u
#define FLAG_TF 0x100u
#define FLAG_RF 0x10000u
#define SA_RESTORER_BIT 0x04000000u

/* sigreturn for handlers without a restorer: popl %eax; movl $119,%eax; int $0x80 */
static const uint8_t legacy_code[8] = {0x58, 0xb8, 0x77, 0, 0, 0, 0xcd, 0x80};
/* movl $173,%eax; int $0x80 */
static const uint8_t rt_code[8] = {0xb8, 0xad, 0, 0, 0, 0xcd, 0x80, 0};

/*
 * Stacks are not executable: such handlers return to a page of our own that
 * holds the same code, as they would to the kernel's.
 */
static vx_gaddr trampoline(struct vxl_proc *p, bool is_rt)
{
    uint8_t code[16];
    if (!p->trampoline) {
        vx_gaddr page = vx_box_find_free(p->box, VX_PAGE_BYTES, 0);
        memcpy(code, legacy_code, 8);
        memcpy(code + 8, rt_code, 8);
        if (!page || vx_box_map(p->box, page, VX_PAGE_BYTES, VX_PROT_READ | VX_PROT_EXEC) ||
            vx_box_poke(p->box, page, code, sizeof code))
            return 0;
        p->trampoline = page;
    }
    return p->trampoline + (is_rt ? 8 : 0);
}

static bool is_on_altstack(const struct vxl_proc *p, vx_gaddr sp)
{
    return sp - p->altstack.sp - 1 < p->altstack.size;
}

struct fpstate_end {
    uint32_t magic1, extended_size, xfeatures[2], xstate_size, padding[7]; /* in the fxsave image, at SW_RESERVED */
};
#define SW_RESERVED 464
struct xstate {
    uint64_t features, compact, reserved[6];
    uint8_t ymm[256]; /* of sixteen registers */
    uint32_t magic2;
    uint8_t padding[60];
};
#define XSTATE_STORED (offsetof(struct xstate, padding))
static_assert(sizeof(struct fpstate_end) == 512 - SW_RESERVED, "software's part of the fxsave image");
static_assert(512 + offsetof(struct xstate, magic2) == XSTATE_BYTES, "xsave area");

static bool has_xstate(const struct vxl_proc *p)
{
    return vxi_box_cpu(p->box) & VX_CPU_AVX;
}

/* Room for the FP state and a frame of `size` bytes; 0: the alternate stack is too small. */
static vx_gaddr frame_address(struct vxl_proc *p, const struct vxl_action *action, uint32_t size,
                              vx_gaddr *fpstate)
{
    vx_gaddr sp = p->regs.esp;
    bool is_on = is_on_altstack(p, sp), is_entering = false;
    if ((action->flags & SA_ONSTACK) && !is_on && p->altstack.size) {
        sp = p->altstack.sp + p->altstack.size;
        is_entering = true;
    }
    vx_gaddr fx = (sp - 512 - (has_xstate(p) ? (uint32_t)XSTATE_STORED : 0)) & ~63u;
    *fpstate = fx - (uint32_t)offsetof(struct abi32_fpstate, fx);
    sp = *fpstate - size;
    sp = ((sp + 4) & ~15u) - 4;
    if ((is_on || is_entering) && !is_on_altstack(p, sp))
        return 0;
    return sp;
}

static void make_context(const struct vxl_proc *p, vx_gaddr fpstate, uint64_t mask,
                         struct abi32_sigcontext *sc)
{
    const struct vx_regs *r = &p->regs;
    *sc = (struct abi32_sigcontext){
        .gs = r->gs, .fs = r->fs, .es = r->es, .ds = r->ds, .cs = r->cs, .ss = r->ss,
        .di = r->edi, .si = r->esi, .bp = r->ebp, .sp = r->esp,
        .bx = r->ebx, .dx = r->edx, .cx = r->ecx, .ax = r->eax,
        .trapno = p->last_trapno, .err = p->last_err, .cr2 = p->last_cr2,
        .ip = r->eip, .flags = r->eflags, .sp_at_signal = r->esp,
        .fpstate = fpstate, .oldmask = (uint32_t)mask,
    };
}

static bool put_xstate(struct vxl_proc *p, vx_gaddr addr, uint8_t *fx)
{
    struct fpstate_end end = {.magic1 = FP_XSTATE_MAGIC1, .xfeatures = {XFEATURES}, .xstate_size = XSTATE_BYTES};
    struct xstate xstate = {.features = XFEATURES, .magic2 = FP_XSTATE_MAGIC2};
    end.extended_size = (uint32_t)offsetof(struct abi32_fpstate, fx) + XSTATE_BYTES + (uint32_t)sizeof xstate.magic2;
    memcpy(fx + SW_RESERVED, &end, sizeof end);
    vx_box_get_ymm(p->box, xstate.ymm);
    return vxl_put(p, addr + (uint32_t)sizeof(struct abi32_fpstate), &xstate, XSTATE_STORED);
}

static bool put_fpstate(struct vxl_proc *p, vx_gaddr addr)
{
    struct abi32_fpstate state = {0};
    vx_box_get_fxsave(p->box, state.fx);
    vxi_fsave_from_fx(state.fx, (uint8_t *)&state);
    state.cssel = p->regs.cs;
    state.datasel = 0xffff0000u | p->regs.ds;
    state.status = (uint16_t)state.sw;
    state.magic = 0;
    if (has_xstate(p) && !put_xstate(p, addr, state.fx))
        return false;
    return vxl_put(p, addr, &state, sizeof state);
}

static vx_gaddr return_address(struct vxl_proc *p, const struct vxl_action *action, bool is_rt)
{
    return action->flags & SA_RESTORER_BIT ? action->restorer : trampoline(p, is_rt);
}

static bool put_legacy(struct vxl_proc *p, int signal, const struct vxl_action *action,
                       uint64_t mask, vx_gaddr at, vx_gaddr fpstate)
{
    struct abi32_sigframe frame = {.sig = signal, .extramask = {(uint32_t)(mask >> 32)}};
    frame.pretcode = return_address(p, action, false);
    memcpy(frame.retcode, legacy_code, 8);
    make_context(p, fpstate, mask, &frame.sc);
    return vxl_put(p, at, &frame, sizeof frame);
}

static bool put_rt(struct vxl_proc *p, int signal, const struct vxl_action *action,
                   const struct abi32_siginfo *info, uint64_t mask, vx_gaddr at, vx_gaddr fpstate)
{
    struct abi32_rt_sigframe frame = {
        .sig = signal,
        .pinfo = at + (uint32_t)offsetof(struct abi32_rt_sigframe, info),
        .puc = at + (uint32_t)offsetof(struct abi32_rt_sigframe, uc),
        .info = *info,
        .uc = {.stack = p->altstack, .sigmask = {(uint32_t)mask, (uint32_t)(mask >> 32)}},
    };
    frame.pretcode = return_address(p, action, true);
    memcpy(frame.retcode, rt_code, 8);
    if (has_xstate(p))
        frame.uc.flags = UC_FP_XSTATE;
    if (!p->altstack.size)
        frame.uc.stack.flags = SS_DISABLE;
    else if (is_on_altstack(p, p->regs.esp))
        frame.uc.stack.flags = SS_ONSTACK;
    make_context(p, fpstate, mask, &frame.uc.mcontext);
    return vxl_put(p, at, &frame, sizeof frame);
}

bool vxl_push_frame(struct vxl_proc *p, int signal, const struct vxl_action *action,
                    const struct abi32_siginfo *info, uint64_t mask)
{
    struct vx_regs *regs = &p->regs;
    bool is_rt = action->flags & SA_SIGINFO;
    uint32_t size = is_rt ? sizeof(struct abi32_rt_sigframe) : sizeof(struct abi32_sigframe);
    vx_gaddr fpstate;
    vx_gaddr at = frame_address(p, action, size, &fpstate);
    if (!at || !put_fpstate(p, fpstate))
        return false;
    if (is_rt ? !put_rt(p, signal, action, info, mask, at, fpstate)
              : !put_legacy(p, signal, action, mask, at, fpstate))
        return false;
    regs->esp = at;
    regs->eip = action->handler;
    regs->eax = (uint32_t)signal;
    regs->edx = is_rt ? at + (uint32_t)offsetof(struct abi32_rt_sigframe, info) : 0;
    regs->ecx = is_rt ? at + (uint32_t)offsetof(struct abi32_rt_sigframe, uc) : 0;
    regs->eflags &= ~(FLAG_DF | FLAG_TF | FLAG_RF);
    regs->cs = VXI_SELECTOR_CODE;
    regs->ds = regs->es = regs->ss = VXI_SELECTOR_DATA;
    return true;
}

/* ---- return ---------------------------------------------------------- */

/* As the kernel: what does not look whole is an fxsave image alone, and the upper halves are cleared. */
static bool take_xstate(struct vxl_proc *p, vx_gaddr addr, const uint8_t *fx)
{
    struct fpstate_end end;
    struct xstate xstate = {0};
    uint8_t none[128] = {0};
    memcpy(&end, fx + SW_RESERVED, sizeof end);
    bool is_there = addr && end.magic1 == FP_XSTATE_MAGIC1 && end.xstate_size == XSTATE_BYTES;
    if (is_there && !vxl_get(p, addr + (uint32_t)sizeof(struct abi32_fpstate), &xstate, XSTATE_STORED))
        return false;
    is_there &= xstate.magic2 == FP_XSTATE_MAGIC2 && end.xfeatures[0] & xstate.features & XFEATURE_AVX;
    vx_box_set_ymm(p->box, is_there ? xstate.ymm : none);
    return true;
}

static bool take_fpstate(struct vxl_proc *p, vx_gaddr addr)
{
    struct abi32_fpstate state;
    uint32_t mxcsr = 0x1f80;
    if (!addr) { /* the kernel resets it */
        memset(&state, 0, sizeof state);
        state.cw = 0x37f;
        state.tag = 0xffff;
        memcpy(state.fx + FX_MXCSR, &mxcsr, 4);
    } else if (!vxl_get(p, addr, &state, sizeof state)) {
        return false;
    }
    if (has_xstate(p) && !take_xstate(p, addr, state.fx))
        return false;
    vxi_fx_from_fsave((const uint8_t *)&state, state.fx);
    vx_box_set_fxsave(p->box, state.fx);
    return true;
}

static void load_segment(struct vxl_proc *p, unsigned segment, uint16_t selector)
{
    if (!vxi_load_segment(p->box, &p->regs, segment, selector > 3 ? selector | 3 : selector))
        vxi_load_segment(p->box, &p->regs, segment, 0);
}

static bool take_context(struct vxl_proc *p, const struct abi32_sigcontext *sc)
{
    struct vx_regs *r = &p->regs;
    if (!take_fpstate(p, sc->fpstate))
        return false;
    load_segment(p, 5, sc->gs);
    load_segment(p, 4, sc->fs);
    load_segment(p, 3, sc->ds);
    load_segment(p, 0, sc->es);
    r->edi = sc->di;
    r->esi = sc->si;
    r->ebp = sc->bp;
    r->esp = sc->sp;
    r->ebx = sc->bx;
    r->edx = sc->dx;
    r->ecx = sc->cx;
    r->eax = sc->ax;
    r->eip = sc->ip;
    r->eflags = (r->eflags & ~FLAGS_RESTORED) | (sc->flags & FLAGS_RESTORED);
    r->cs = VXI_SELECTOR_CODE;
    r->ss = VXI_SELECTOR_DATA;
    p->has_replaced_regs = true;
    return true;
}

/* A frame that cannot be read kills, as a fault in the kernel's code does. */
static int32_t bad_frame(struct vxl_proc *p)
{
    struct vx_trap trap = {.kind = VX_TRAP_PAGE, .eip = p->regs.eip, .address = p->regs.esp};
    struct abi32_siginfo info = {.signo = SIGSEGV, .code = SI_KERNEL};
    p->has_replaced_regs = true;
    p->in_syscall = false;
    vxl_force(p, &trap, SIGSEGV, &info);
    return 0;
}

int32_t vxl_sigreturn(struct vxl_proc *p, const uint32_t *a)
{
    struct abi32_sigframe frame;
    if (!vxl_get(p, p->regs.esp - 8, &frame, sizeof frame) || !take_context(p, &frame.sc))
        return bad_frame(p);
    p->blocked = (uint64_t)frame.extramask[0] << 32 | frame.sc.oldmask;
    p->blocked &= ~(1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1));
    return 0;
}

int32_t vxl_rt_sigreturn(struct vxl_proc *p, const uint32_t *a)
{
    struct abi32_rt_sigframe frame;
    if (!vxl_get(p, p->regs.esp - 4, &frame, sizeof frame) || !take_context(p, &frame.uc.mcontext))
        return bad_frame(p);
    p->blocked = (uint64_t)frame.uc.sigmask[1] << 32 | frame.uc.sigmask[0];
    p->blocked &= ~(1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1));
    if (!is_on_altstack(p, p->regs.esp) && !(frame.uc.stack.flags & SS_DISABLE))
        p->altstack = frame.uc.stack;
    return 0;
}
