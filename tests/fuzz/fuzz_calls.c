/*
 * The Linux personality: a sequence of system calls, with arguments and guest memory from the input, given to its dispatcher.
 * Whatever they ask for:
 *   no host memory is touched but the window (the sanitizers; and a canary where guest addresses lie as host addresses),
 *   no file outside of the granted directories is opened, changed or read (sandbox.h),
 *   no descriptor is left, nothing hangs, and no host call is made but those that vxrun's own filter allows.
 * There is no other process and no other thread: fork and pthread_create fail, waiting ends at once, timers are slow
 * (--wrap, tests/CMakeLists.txt).
 *
 * Input: options, number of calls, 32 bytes for each call (number; how to read each argument; six arguments), guest memory.
 */
#include <elf.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "tests/fuzz/sandbox.h"
#include "vxrt/linux/calls.h"
#include "vxrt/linux/filter.h"
#include "vxrt/linux/threads.h"

#define MOST_CALLS 24
#define CALL_BYTES 32
#define DATA 0x20000000u
#define DATA_BYTES 0x10000u
#define CODE 0x08048000u
#define CANARY 0xa5
#define STEP_NS 50000000  /* how often the main thread looks */
#define PATIENCE 4        /* looks before a call that waits is ended */
#define LOST 1200         /* looks before it is a hang: a minute */

enum { MAPPED = 1, ROOT = 2, NET = 4, FORK = 8 }; /* options */

static struct {
    sem_t begin, done;
    pthread_t thread;
    const uint8_t *data;
    size_t size;
    _Atomic(struct vxl_proc *) proc;
    struct vx_image *image;
    uint8_t program[0x200];
    uint8_t *canary;
    struct sigaction signals[VXL_SIGNAL_COUNT + 1];
    bool has_net, is_broken;
} fuzz;
static _Thread_local bool is_worker;

/* ---- the host calls that are not made ------------------------------- */

pid_t __wrap_fork(void);
pid_t __real_fork(void);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask);
int __real_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask);
int __wrap_timer_settime(timer_t timer, int flags, const struct itimerspec *new, struct itimerspec *old);
int __real_timer_settime(timer_t timer, int flags, const struct itimerspec *new, struct itimerspec *old);
int __wrap_setitimer(int which, const struct itimerval *new, struct itimerval *old);
int __real_setitimer(int which, const struct itimerval *new, struct itimerval *old);

pid_t __wrap_fork(void)
{
    if (!is_worker)
        return __real_fork();
    errno = EAGAIN;
    return -1;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    return is_worker ? EAGAIN : __real_pthread_create(thread, attributes, run, argument);
}

/* Who would wait for ever has reached the time limit instead. */
static void end_waiting(void)
{
    struct vxl_proc *p = fuzz.proc;
    if (p)
        p->deadline_ns = 1;
}

int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask)
{
    static const struct timespec none;
    if (!is_worker)
        return __real_ppoll(fds, count, timeout, mask);
    int result = __real_ppoll(fds, count, &none, mask);
    if (result != 0 || timeout)
        return result;
    end_waiting();
    errno = EINTR;
    return -1;
}

/* A guest's timer that goes off each nanosecond takes all the time that there is: once a second will do. */
int __wrap_timer_settime(timer_t timer, int flags, const struct itimerspec *new, struct itimerspec *old)
{
    struct itimerspec slow = *new;
    if (slow.it_interval.tv_nsec)
        slow.it_interval.tv_sec |= 1;
    return __real_timer_settime(timer, flags, &slow, old);
}

int __wrap_setitimer(int which, const struct itimerval *new, struct itimerval *old)
{
    struct itimerval slow = *new;
    if (is_worker && slow.it_interval.tv_usec)
        slow.it_interval.tv_sec |= 1;
    return __real_setitimer(which, &slow, old);
}

/* The main thread has waited too long. */
static void on_impatience(int number)
{
    end_waiting();
}

/* The filter has met a call that is not listed. What a sanitizer does for its report is not the guest's. */
static void on_refusal(int number, siginfo_t *info, void *context)
{
    static const int reports[] = { SYS_clone, SYS_fork, SYS_vfork, SYS_pipe, SYS_open, SYS_execve, SYS_wait4 };
    ucontext_t *state = context;
    bool is_report = fuzz.is_broken;
    for (size_t i = 0; i < sizeof reports / sizeof *reports; i++)
        is_report |= info->si_syscall == reports[i];
    if (!is_report) {
        fuzz.is_broken = true;
        fprintf(stderr, "host call %d\n", info->si_syscall);
        PROMISE(!"a host call that is not listed");
    }
    state->uc_mcontext.gregs[REG_RAX] = -EPERM;
}

/* ---- one input ------------------------------------------------------- */

static void map_data(struct vxl_proc *p)
{
    size_t size = fuzz.size < DATA_BYTES ? fuzz.size : DATA_BYTES;
    vx_box_map(p->box, DATA, DATA_BYTES, VX_PROT_READ | VX_PROT_WRITE);
    vx_box_map(p->box, DATA + DATA_BYTES, VX_PAGE_BYTES, VX_PROT_READ);
    vx_box_write(p->box, DATA, fuzz.data, size);
}

static struct vxl_proc *new_process(uint32_t options, struct vxl_config *config, struct vxl_grant grants[2])
{
    static const char *const arguments[] = { "prog", "one", NULL }, *const environment[] = { "A=b", NULL };
    struct vxl_proc *p;
    struct vx_error error;
    bool is_root = options & ROOT;
    grants[0] = (struct vxl_grant){ is_root ? "/" : "/work", sandbox.inside, false };
    grants[1] = (struct vxl_grant){ "/fixed", sandbox.fixed, true };
    *config = (struct vxl_config){
        .image = options & MAPPED ? NULL : fuzz.image, .program = is_root ? "/prog" : "/work/prog", .program_fd = -1, .argv = arguments,
        .envp = environment, .grants = grants, .grant_count = 2, .net = options & NET && fuzz.has_net ? VXL_NET_LOOPBACK : VXL_NET_NONE,
        .box = { .size = sizeof config->box, .max_memory = 64u << 20 }, .allow_fork = options & FORK };
    PROMISE(vxl_new(config, &p, &error) == VX_OK);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (unsigned fd = 0; fd < 3; fd++) { /* not the streams of this process */
        PROMISE(p->fds[fd].in_use && dup3(null, p->fds[fd].host, O_CLOEXEC) >= 0);
    }
    close(null);
    p->deadline_ns = UINT64_MAX; /* far away: calls that may block look first */
    fuzz.proc = p;
    map_data(p);
    p->regs.esp = DATA + DATA_BYTES - 0x100;
    return p;
}

/* Six arguments: a number, a place in the data, the result of an earlier call, or a small number with its sign. */
static void take_arguments(uint32_t args[6], const uint8_t *call, const uint32_t *results, unsigned index)
{
    for (unsigned i = 0; i < 6; i++) {
        uint32_t value;
        memcpy(&value, call + 8 + 4 * i, 4);
        switch (call[2 + i] % 4) {
        case 0: args[i] = value; break;
        case 1: args[i] = DATA + value % (DATA_BYTES + 2 * VX_PAGE_BYTES); break;
        case 2: args[i] = index ? results[value % index] : 0; break;
        default: args[i] = (uint32_t)(int8_t)value;
        }
    }
}

/* The same as vxl_loop does with a trap, but that no guest code runs. */
static uint32_t one_call(struct vxl_proc *p, const uint8_t *call, const uint32_t *results, unsigned index)
{
    uint32_t args[6];
    uint16_t number;
    struct vx_box *box = p->box;
    memcpy(&number, call, 2);
    take_arguments(args, call, results, index);
    struct vx_regs *r = &p->regs;
    r->eax = number % (VXL_CALL_LIMIT + 8);
    r->ebx = args[0], r->ecx = args[1], r->edx = args[2], r->esi = args[3], r->edi = args[4], r->ebp = args[5];
    vxl_syscall(p);
    uint32_t result = p->regs.eax;
    if (p->box != box && !p->has_ended) /* execve */
        map_data(p);
    if (!p->is_blocked && !p->has_ended && (p->pending || p->arrived || p->has_saved_mask || p->in_syscall))
        vxl_deliver(p);
    return result;
}

static void check_descriptors(const struct vxl_proc *p, uint32_t *last_serial)
{
    for (unsigned fd = 0; fd < VXL_FD_LIMIT; fd++)
        PROMISE(!p->fds[fd].in_use || p->fds[fd].serial <= *last_serial || sandbox_may_have(p->fds[fd].host));
    *last_serial = p->last_serial;
}

/* The secret did not come into guest memory, nor anything into the canary. */
static void check_memory(struct vxl_proc *p)
{
    static uint8_t bytes[DATA_BYTES];
    for (uint32_t page = 0; page < DATA_BYTES; page += VX_PAGE_BYTES)
        if (vx_box_read(p->box, DATA + page, bytes + page, VX_PAGE_BYTES) != VX_OK)
            memset(bytes + page, 0, VX_PAGE_BYTES);
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)~bytes[i];
    PROMISE(!memmem(bytes, sizeof bytes, sandbox.secret_inverted, SECRET_BYTES));
    memset(bytes, CANARY, sizeof bytes);
    PROMISE(!memcmp(bytes, fuzz.canary, sizeof bytes));
}

static void free_process(struct vxl_proc *p, const struct itimerval timers[3])
{
    uint64_t changed = p->watched | p->host_ignored;
    for (int i = 0; i < 3; i++)
        __real_setitimer(i, &timers[i], NULL);
    fuzz.proc = NULL;
    while (vxl_threads_join(p)) /* where clone has made a list of the one thread */
        continue;
    vxl_hostsig_end(p);
    for (int number = 1; number <= VXL_SIGNAL_COUNT; number++)
        if (changed >> (number - 1) & 1)
            sigaction(number, &fuzz.signals[number], NULL);
    vxl_free(p);
    umask(022);
}

static void run_input(void)
{
    uint8_t calls[MOST_CALLS * CALL_BYTES] = { 0 };
    uint32_t results[MOST_CALLS], last_serial = 0;
    uint32_t options = take(&fuzz.data, &fuzz.size, 1), count = take(&fuzz.data, &fuzz.size, 1) % (MOST_CALLS + 1);
    struct vxl_config config;
    struct vxl_grant grants[2];
    struct itimerval timers[3];
    size_t size = count * CALL_BYTES < fuzz.size ? count * CALL_BYTES : fuzz.size;
    memcpy(calls, fuzz.data, size);
    fuzz.data += size;
    fuzz.size -= size;
    unsigned open_before = sandbox_open_count();
    for (int i = 0; i < 3; i++)
        getitimer(i, &timers[i]);
    struct vxl_proc *p = new_process(options, &config, grants);
    for (unsigned i = 0; i < count && !p->has_ended && !p->is_blocked; i++) {
        results[i] = one_call(p, calls + i * CALL_BYTES, results, i);
        check_descriptors(p, &last_serial);
    }
    check_memory(p);
    free_process(p, timers);
    PROMISE(sandbox_open_count() == open_before);
}

/* ---- two threads: this one is in the filter, that of the fuzzer is not ---- */

static void *work(void *unused)
{
    const char *why;
    struct sigaction action = { .sa_sigaction = on_refusal, .sa_flags = SA_SIGINFO | SA_NODEFER };
    struct vxl_filter_options options = { .has_net = fuzz.has_net = unshare(CLONE_NEWNET) == 0 };
    is_worker = true;
    if (!vxl_filter(&options, &why))
        fprintf(stderr, "no filter: %s\n", why);
    sigaction(SIGSYS, &action, NULL);
    for (;;) {
        while (sem_wait(&fuzz.begin))
            continue;
        run_input();
        sem_post(&fuzz.done);
    }
    return NULL;
}

/* int 0x80 and a jump back to it, in a segment that is both read and executed. */
static void make_program(void)
{
    Elf32_Ehdr header = { .e_ident = { 0x7f, 'E', 'L', 'F', 1, 1, 1 }, .e_type = ET_EXEC, .e_machine = EM_386, .e_version = 1,
                          .e_entry = CODE + 0x100, .e_phoff = sizeof header, .e_ehsize = sizeof header,
                          .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 1 };
    Elf32_Phdr segment = { PT_LOAD, 0, CODE, CODE, sizeof fuzz.program, sizeof fuzz.program, PF_R | PF_X, 0x1000 };
    memcpy(fuzz.program, &header, sizeof header);
    memcpy(fuzz.program + sizeof header, &segment, sizeof segment);
    memcpy(fuzz.program + 0x100, "\xcd\x80\xeb\xfc", 4);
}

static void start(void)
{
    struct vx_image_options options = { .size = sizeof options };
    struct vx_error error;
    struct rlimit limit = { 16u << 20, 16u << 20 };
    struct sigaction impatience = { .sa_handler = on_impatience };
    make_program();
    sandbox_start();
    PROMISE(vx_image_open_memory(fuzz.program, sizeof fuzz.program, &options, &fuzz.image, &error) == VX_OK);
    fuzz.canary = mmap((void *)(uintptr_t)DATA, DATA_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    PROMISE(fuzz.canary == (uint8_t *)(uintptr_t)DATA);
    memset(fuzz.canary, CANARY, DATA_BYTES);
    setrlimit(RLIMIT_FSIZE, &limit); /* a guest's file takes memory */
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigaction(SIGRTMAX, &impatience, NULL); /* no guest has this one */
    for (int number = 1; number <= VXL_SIGNAL_COUNT; number++)
        sigaction(number, NULL, &fuzz.signals[number]);
    PROMISE(!sem_init(&fuzz.begin, 0, 0) && !sem_init(&fuzz.done, 0, 0));
    PROMISE(__real_pthread_create(&fuzz.thread, NULL, work, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!fuzz.thread)
        start();
    sandbox_fill(fuzz.program, sizeof fuzz.program);
    fuzz.data = data;
    fuzz.size = size;
    sem_post(&fuzz.begin);
    for (unsigned looks = 0;; looks++) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += STEP_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (sem_timedwait(&fuzz.done, &until) == 0)
            break;
        PROMISE(looks < LOST);
        if (looks >= PATIENCE)
            pthread_kill(fuzz.thread, SIGRTMAX);
    }
    sandbox_check();
    return 0;
}
