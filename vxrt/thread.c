/*
 * What a thread needs before it can run a box: an alternate signal stack,
 * the runtime's signals unblocked, and the base of %gs, remembered so that it is
 * loaded only when the box changes.
 */
#include <asm/prctl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vxrt/internal.h"

#define SIGNAL_STACK_BYTES (64u << 10)
#define HWCAP2_BIT_FSGSBASE 2

#define THREAD_LOCAL static __thread __attribute__((tls_model("initial-exec")))

__thread struct vxi_seat *vxi_current __attribute__((tls_model("initial-exec")));
THREAD_LOCAL bool is_prepared;
THREAD_LOCAL bool has_wrgsbase;
THREAD_LOCAL int thread_id;
THREAD_LOCAL uint64_t loaded_base;

static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t stack_key;
static bool has_key;

/* `stack` starts with a guard page. */
static void free_stack(void *stack)
{
    stack_t now;
    if (sigaltstack(NULL, &now) == 0 && now.ss_sp == (char *)stack + VX_PAGE_BYTES) {
        stack_t none = { .ss_flags = SS_DISABLE };
        sigaltstack(&none, NULL);
    }
    munmap(stack, SIGNAL_STACK_BYTES + VX_PAGE_BYTES);
    is_prepared = false;
}

static void forget_thread_id(void)
{
    thread_id = 0;
}

static void make_key(void)
{
    has_key = pthread_key_create(&stack_key, free_stack) == 0;
    pthread_atfork(NULL, NULL, forget_thread_id);
}

static vx_status prepare_stack(void)
{
    stack_t now;
    if (sigaltstack(NULL, &now) == 0 && !(now.ss_flags & SS_DISABLE))
        return VX_OK;
    pthread_once(&key_once, make_key);
    if (!has_key)
        return VX_ERR_MEMORY;
    char *stack = mmap(NULL, SIGNAL_STACK_BYTES + VX_PAGE_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED)
        return VX_ERR_MEMORY;
    stack_t ours = { .ss_sp = stack + VX_PAGE_BYTES, .ss_size = SIGNAL_STACK_BYTES };
    if (mprotect(stack, VX_PAGE_BYTES, PROT_NONE) != 0 || sigaltstack(&ours, NULL) != 0 ||
        pthread_setspecific(stack_key, stack) != 0) {
        free_stack(stack);
        return VX_ERR_MEMORY;
    }
    return VX_OK;
}

vx_status vxi_thread_prepare(void)
{
    if (is_prepared)
        return VX_OK;
    pthread_once(&key_once, make_key);
    vx_status status = prepare_stack();
    if (status != VX_OK)
        return status;
    static const int needed[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGURG };
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++)
        sigaddset(&set, needed[i]);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    has_wrgsbase = getauxval(AT_HWCAP2) & HWCAP2_BIT_FSGSBASE;
    is_prepared = true;
    return VX_OK;
}

int vxi_thread_id(void)
{
    if (!thread_id)
        thread_id = (int)syscall(SYS_gettid);
    return thread_id;
}

void vxi_load_base(uint64_t window)
{
    if (window == loaded_base)
        return;
    if (has_wrgsbase)
        __asm__ volatile("wrgsbase %0" : : "r"(window) : "memory");
    else
        syscall(SYS_arch_prctl, ARCH_SET_GS, window);
    loaded_base = window;
}
