/*
 * The Linux personality: a guest makes the system calls that the input names, with arguments from it, below a directory of its own.
 * Whatever it asks for, the host goes on, no file outside the directory changes, no descriptor is left open, and the guest's memory
 * is all that is written.
 *
 * Input: a byte of choices, a byte for the number of calls, the calls (which of the table, then six arguments), and bytes for the
 * guest's data. Sockets, and processes of the guest, are not granted.
 */
#include <elf.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "tests/fuzz/sandbox.h"
#include "vxrt/linux/calls.h"

#define CODE 0x08049000u
#define TABLE 0x0804a000u /* of calls: number and arguments, 8 words each; then the data */
#define DATA 0x0804c000u
#define SEGMENT 0x4000u
#define DATA_BYTES 0x2000u
#define MAX_CALLS 64u
#define TIME_LIMIT_NS 2500000
#define CANARY_WORDS 4096u
#define CANARY 0x5ca1ab1e0ddba115ull
#define CHECK_EVERY 64u /* what costs system calls */

/*
 * mov $TABLE, %esi
 * next: mov (%esi), %eax; test %eax, %eax; js end; push %esi; mov 4(%esi), %ebx; ... mov 24(%esi), %ebp; mov 20(%esi), %edi;
 * mov 16(%esi), %esi; int $0x80; pop %esi; add $32, %esi; jmp next
 * end: mov $252, %eax; xor %ebx, %ebx; int $0x80
 */
static const uint8_t code[] = {
    0xbe, 0x00, 0xa0, 0x04, 0x08, 0x8b, 0x06, 0x85, 0xc0, 0x78, 0x1b, 0x56, 0x8b, 0x5e, 0x04, 0x8b, 0x4e, 0x08, 0x8b, 0x56, 0x0c,
    0x8b, 0x6e, 0x18, 0x8b, 0x7e, 0x14, 0x8b, 0x76, 0x10, 0xcd, 0x80, 0x5e, 0x83, 0xc6, 0x20, 0xeb, 0xdf,
    0xb8, 0xfc, 0x00, 0x00, 0x00, 0x31, 0xdb, 0xcd, 0x80, 0xf4 };

#define NUMBER(number, name, handler) number,
#define NOTHING(number, name)
static const uint16_t numbers[] = { VXL_CALLS(NUMBER, NOTHING) };

static const uint32_t special[] = {
    0xffffffff, 0x7fffffff, 0x80000000, 0xfffff000, 0xffffffe0, 0x00001000, 0xffffff9c /* AT_FDCWD */, DATA + DATA_BYTES - 1, DATA - 2,
    CODE, CODE + 0x1000, 0xfffe0000, 0x00010000, 0x40000000, 0xbfffffff, 0x0804bff0, 0x20000, 0x22, 0x32, 0x3d0f00 /* clone */, 0x11,
    0x102, 0x8000, 0x241, 0x442, 0x10000, 0x80800, 0x400, 0x1ff, 0xdead, 0x1001, 0x2000 };

static struct vx_image *image;
static int null_fd = -1, saved[3];
static uint64_t canary[CANARY_WORDS], *heap_canary;
static unsigned long runs;

static void make_image(void)
{
    static uint8_t file[0x2000 + SEGMENT];
    struct vx_image_options options = { .size = sizeof options };
    struct vx_error error;
    Elf32_Ehdr header = { .e_type = ET_EXEC, .e_machine = EM_386, .e_version = 1, .e_entry = CODE, .e_phoff = sizeof header,
                          .e_ehsize = sizeof header, .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 3 };
    memcpy(header.e_ident, "\177ELF\1\1\1", 7);
    const Elf32_Phdr segments[] = { { PT_LOAD, 0x1000, CODE, CODE, sizeof code, sizeof code, PF_R | PF_X, 0x1000 },
                                    { PT_LOAD, 0x2000, TABLE, TABLE, SEGMENT, SEGMENT, PF_R | PF_W, 0x1000 },
                                    { PT_GNU_STACK, 0, 0, 0, 0, 0, PF_R | PF_W, 16 } };
    memcpy(file, &header, sizeof header);
    memcpy(file + sizeof header, segments, sizeof segments);
    memcpy(file + 0x1000, code, sizeof code);
    PROMISE(vx_image_open_memory(file, sizeof file, &options, &image, &error) == VX_OK);
}

static void ignore(int number)
{
}

static void start(void)
{
    /* What a guest's timers send when it is gone, and a file that would be too large. */
    static const int quiet[] = { SIGVTALRM, SIGPROF, SIGXFSZ, SIGPIPE, SIGUSR1, SIGUSR2, SIGCHLD, SIGIO };
    for (size_t i = 0; i < sizeof quiet / sizeof *quiet; i++)
        signal(quiet[i], ignore);
    for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
        signal(number, ignore);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 1 << 20, 1 << 20 });
    sandbox_start();
    null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    PROMISE(null_fd >= 0);
    for (int i = 0; i < 3; i++)
        saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
    heap_canary = malloc(sizeof canary);
    PROMISE(heap_canary);
    for (size_t i = 0; i < CANARY_WORDS; i++)
        canary[i] = heap_canary[i] = CANARY;
    make_image();
}

static void check_world(void)
{
    for (size_t i = 0; i < CANARY_WORDS; i++)
        PROMISE(canary[i] == CANARY && heap_canary[i] == CANARY);
    sandbox_check();
}

/* ---- a guest ---- */

/* Small numbers, addresses in the data, what is special, lengths, anything. */
static uint32_t argument(const uint8_t **data, size_t *size)
{
    uint32_t kind = take(data, size, 1);
    if (kind < 0x40)
        return kind;
    if (kind < 0x80)
        return DATA + (kind & 0x3f) * 64;
    if (kind < 0xa0)
        return special[kind & 31];
    if (kind < 0xc0)
        return 1u << (kind & 31);
    return take(data, size, kind < 0xe0 ? 4 : 2);
}

/* Names, an iovec, times, numbers at the end of their range, whose places arguments can name; the input's rest goes over them. */
static void make_data(uint8_t *bytes, const uint8_t *rest, size_t size)
{
    static const char *const names[] = { "a", "b", "d", "d/x", "/", ".", "..", "../outside/secret", "/../outside", "/d/../../outside/secret",
                                         "l", "l/secret", "/proc/self/exe", "/proc/self/fd/3", "/dev/null", "/proc/self/root/tmp", "" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        strcpy((char *)bytes + 64 * i, names[i]);
    const uint32_t vectors[] = { DATA, 64, DATA + 64, 128, DATA + 0x1000, 0x1000, DATA + DATA_BYTES - 8, 64 };
    const uint32_t times[] = { 0, 100000, 0, 200000, 1, 0, 0, 0 };
    memcpy(bytes + 64 * 24, vectors, sizeof vectors);
    memcpy(bytes + 64 * 25, times, sizeof times);
    memcpy(bytes + 64 * 28, special, sizeof special);
    const uint32_t ends_of_time[] = { 0xffffffff, 0x7fffffff, 999999999, 0, 0xffffffff, 0x7fffffff, 0, 0 };
    memcpy(bytes + 64 * 30, ends_of_time, sizeof ends_of_time);
    snprintf((char *)bytes + 64 * 26, 2 * 64, "%s/outside", sandbox.root);
    memcpy(bytes + 64 * 32, rest, size < DATA_BYTES - 64 * 32 ? size : DATA_BYTES - 64 * 32);
}

static void fill(struct vx_box *box, const uint8_t *data, size_t size)
{
    static uint8_t bytes[DATA_BYTES];
    uint32_t calls[MAX_CALLS + 1][8] = { 0 };
    uint32_t count = take(&data, &size, 1) % MAX_CALLS, i;
    for (i = 0; i < count && size; i++) {
        uint32_t which = take(&data, &size, 2);
        calls[i][0] = which < 0xfe00 ? numbers[which % (sizeof numbers / sizeof *numbers)] : which & 0x1ff;
        for (int n = 1; n <= 6; n++)
            calls[i][n] = argument(&data, &size);
        /* The alarm clock is libFuzzer's. */
        if (calls[i][0] == 27 || (calls[i][0] == 104 && calls[i][1] == ITIMER_REAL))
            calls[i][0] = 20;
    }
    calls[i][0] = 0xffffffff;
    memset(bytes, 0, sizeof bytes);
    make_data(bytes, data, size);
    PROMISE(vx_box_write(box, TABLE, calls, sizeof calls) == VX_OK);
    PROMISE(vx_box_write(box, DATA, bytes, sizeof bytes) == VX_OK);
}

/* The guest's standard streams lead nowhere. */
static void streams(const int *from)
{
    for (int i = 0; i < 3; i++)
        dup2(from[i], i);
}

static void stop_timers(void)
{
    const struct itimerval none = { 0 };
    setitimer(ITIMER_VIRTUAL, &none, NULL);
    setitimer(ITIMER_PROF, &none, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const arguments[] = { "guest", NULL }, *const environment[] = { NULL };
    if (!image)
        start();
    const int nowhere[3] = { null_fd, null_fd, null_fd };
    uint32_t choices = take(&data, &size, 1);
    const struct vxl_grant grant = { .guest_path = "/", .host_fd = sandbox.inside, .is_read_only = choices & 1 };
    const struct vxl_config config = {
        .image = image, .program = "guest", .program_fd = -1, .argv = arguments, .envp = environment, .grants = &grant, .grant_count = 1,
        .box = { .size = sizeof config.box, .max_memory = 64u << 20 }, .time_limit_ns = TIME_LIMIT_NS };
    struct vxl_outcome outcome;
    struct vx_error error;
    struct vxl_proc *proc;
    sandbox_empty(sandbox.top, "inside");
    PROMISE(symlinkat("../outside", sandbox.inside, "l") == 0 && mkdirat(sandbox.inside, "d", 0700) == 0);
    unsigned before = runs % CHECK_EVERY == 0 ? sandbox_open_count() : 0;
    streams(nowhere);
    vx_status status = vxl_new(&config, &proc, &error);
    streams(saved);
    PROMISE(status == VX_OK);
    fill(vxl_box(proc), data, size);
    vxl_run(proc, &outcome);
    PROMISE(!outcome.is_child);
    PROMISE(outcome.end != VXL_STOPPED || outcome.trap.kind == VX_TRAP_LIMIT || outcome.trap.kind == VX_TRAP_ERROR);
    vxl_free(proc);
    stop_timers();
    umask(022);
    PROMISE(!before || sandbox_open_count() == before);
    check_world();
    runs++;
    return 0;
}
