/*
 * The runtime against what happens around it: a fault in a host function is the host's (E2), no memory is ever writable and executable, through
 * any alias, while code is loaded, rewritten and thrown away (E3), and a cache that is changed while it is opened and read does no harm (E4).
 * docs/security.md, "Threats".
 */
#include <CUnit/Basic.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/test_box.h"
#include "tests/test_call.h"

#define PAGE 4096u

/* ---- E2 ---- */

static volatile int faults;
static void *volatile faulting;

/* The host's own handler, there before the first box: it makes the page readable and goes on. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    if (info->si_addr != faulting || mprotect(info->si_addr, PAGE, PROT_READ) != 0)
        _exit(99);
    faults++;
}

static enum vx_host_result reads_what_it_must_not(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    result->i32 = args[0].i32 + args[1].i32 + *(volatile const char *)faulting;
    return VX_HOST_DONE;
}

static void fault_in_host_function(void)
{
    static const struct vx_host_function functions[] = { { "host_add", "i(ii)", reads_what_it_must_not, NULL } };
    struct vx_image *image = plugin_image(PLUGIN("calls.so"), functions, 1);
    struct vx_box *box = plugin_box(image);
    char *outside = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, 0x30000000, 2 * PAGE, RW), VX_OK);
    char *inside = vx_box_pointer(box, 0x30000000, 2 * PAGE, VX_PROT_READ);
    CU_ASSERT_EQUAL(vx_box_protect(box, 0x30000000 + PAGE, PAGE, 0), VX_OK);
    CU_ASSERT_FATAL(outside != MAP_FAILED && inside);
    char *const where[] = { outside, inside + PAGE };
    for (int i = 0; i < 2; i++) {
        struct vx_stats before, after;
        faulting = where[i];
        vx_box_stats(box, &before);
        CU_ASSERT_EQUAL(call(image, box, "call_add", "i(ii)", ARGS(I(40), I(2))).i32, 43);
        vx_box_stats(box, &after);
        CU_ASSERT_EQUAL(faults, i + 1);
        CU_ASSERT_EQUAL(after.traps, before.traps);
    }
    munmap(outside, PAGE);
    vx_box_free(box);
    vx_image_close(image);
}

/* ---- E3 ---- */

GUEST(rewrite, "1: incl 2f+1-guest_rewrite+0x10000; 2: movl $0, %eax; call 3f; decl %ecx; jnz 1b; int3; 3: ret");

static atomic_bool is_over;
static atomic_uint scans, mappings;

/* Any mapping that is both; and any file or shared memory that one mapping may write and another execute. */
static void *watch(void *unused)
{
    enum { MOST = 4096 };
    static uint64_t writable[MOST], executable[MOST];
    char line[512];
    uintptr_t bad = 0;
    while (!is_over) {
        FILE *maps = fopen("/proc/self/maps", "r");
        size_t w = 0, x = 0;
        while (fgets(line, sizeof line, maps)) {
            char perms[5];
            unsigned major, minor;
            uint64_t inode;
            if (sscanf(line, "%*x-%*x %4s %*x %x:%x %" SCNu64, perms, &major, &minor, &inode) != 4)
                continue;
            mappings++;
            if (perms[1] == 'w' && perms[2] == 'x') {
                fprintf(stderr, "  %s", line);
                bad++;
            }
            if (inode && perms[1] == 'w' && perms[3] == 's' && w < MOST)
                writable[w++] = inode << 8 ^ minor;
            if (inode && perms[2] == 'x' && x < MOST)
                executable[x++] = inode << 8 ^ minor;
        }
        for (size_t i = 0; i < w; i++)
            for (size_t j = 0; j < x; j++)
                bad += writable[i] == executable[j];
        fclose(maps);
        scans++;
    }
    return (void *)bad;
}

static void never_both(void)
{
    pthread_t watcher;
    void *bad;
    struct vx_trap trap;
    struct vx_regs regs;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&watcher, NULL, watch, NULL), 0);
    for (unsigned round = 0; round < 1000 && (round < 10 || scans < 50); round++) {
        struct vx_box *box = BOX_RWX(rewrite);
        vx_box_get_regs(box, &regs);
        regs.ecx = 200;
        vx_box_set_regs(box, &regs);
        run_to(box, VX_TRAP_BREAKPOINT, &trap);
        vx_box_free(box);
        if (access(PLUGIN("calls.so"), R_OK) == 0) { /* chunks of a cache, loaded on demand */
            struct vx_image *image = plugin_image(PLUGIN("calls.so"), NULL, 0);
            box = plugin_box(image);
            CU_ASSERT_EQUAL(call(image, box, "add", "i(ii)", ARGS(I(40), I(2))).i32, 42);
            vx_box_free(box);
            vx_image_close(image);
        }
    }
    is_over = true;
    pthread_join(watcher, &bad);
    printf("%u looks at %u mappings ", scans, mappings);
    CU_ASSERT(scans > 0);
    CU_ASSERT_PTR_NULL(bad);
}

/* ---- E4 ---- */

static char cache[] = "/tmp/vx-swap-XXXXXX";
static uint8_t *good;
static size_t good_bytes;
static atomic_uint swaps;

/* The file is written over in place, cut off and completed, and replaced by another, over and over. */
static void *swap(void *unused)
{
    char other[sizeof cache + 8];
    uint64_t state = 1;
    uint8_t *bytes = malloc(good_bytes);
    snprintf(other, sizeof other, "%s.new", cache);
    for (; !is_over; swaps++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        memcpy(bytes, good, good_bytes);
        for (unsigned i = 0; i < (state >> 60) / 2 * (swaps & 1); i++)
            bytes[(state >> 20) * (i + 1) % good_bytes] ^= (uint8_t)(1 + i);
        int fd = open(state >> 62 ? cache : other, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (state >> 61 & 1 && ftruncate(fd, (off_t)((state >> 8) % good_bytes)) != 0)
            abort();
        if (pwrite(fd, bytes, good_bytes, 0) != (ssize_t)good_bytes)
            abort();
        close(fd);
        if (state >> 62 == 0 && rename(other, cache) != 0)
            abort();
    }
    unlink(other);
    free(bytes);
    return NULL;
}

static void swapped_caches(void)
{
    unsigned opened = 0, from_cache = 0;
    pthread_t swapper;
    int fd = open(PLUGIN("calls.so.vxc"), O_RDONLY);
    struct stat st;
    CU_ASSERT_FATAL(fd >= 0 && fstat(fd, &st) == 0);
    good_bytes = (size_t)st.st_size;
    good = malloc(good_bytes);
    CU_ASSERT_EQUAL_FATAL(read(fd, good, good_bytes), (ssize_t)good_bytes);
    close(fd);
    fd = mkstemp(cache);
    CU_ASSERT_EQUAL_FATAL(write(fd, good, good_bytes), (ssize_t)good_bytes);
    close(fd);
    is_over = false;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&swapper, NULL, swap, NULL), 0);
    for (unsigned round = 0; round < 3000 && (round < 300 || swaps < 400); round++) {
        struct vx_image_options options = { .size = sizeof options, .cache_path = cache };
        struct vx_link link = { .size = sizeof link, .allow_missing = true };
        struct vx_image *image;
        struct vx_box *box;
        struct vx_error error;
        struct vx_trap trap;
        union vx_value result;
        struct vx_stats stats;
        CU_ASSERT_EQUAL_FATAL(vx_image_open(PLUGIN("calls.so"), &options, &image, &error), VX_OK); /* without the cache, if need be */
        opened++;
        CU_ASSERT_EQUAL_FATAL(vx_image_link(image, &link, &error), VX_OK);
        CU_ASSERT_EQUAL_FATAL(vx_box_new(image, NULL, &box, &error), VX_OK);
        vx_status status = vx_box_start(box, NULL, &trap);
        if (status == VX_OK) {
            struct vx_func add = export_of(image, "add", "i(ii)");
            status = vx_box_call(box, &add, ARGS(I(40), I(2)), &result, &trap);
            CU_ASSERT(status != VX_OK || result.i32 == 42);
        }
        vx_box_stats(box, &stats);
        from_cache += stats.chunks_loaded > 0;
        vx_box_free(box);
        vx_image_close(image);
    }
    is_over = true;
    pthread_join(swapper, NULL);
    printf("%u opened, %u ran from the cache, %u changes ", opened, from_cache, swaps);
    unlink(cache);
    free(good);
}

int main(void)
{
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
    sigaction(SIGSEGV, &action, NULL);
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("escape_runtime", NULL, NULL);
    bool plugins = has_plugins();
    if (plugins)
        CU_add_test(suite, "a fault in a host function", fault_in_host_function);
    CU_add_test(suite, "never writable and executable", never_both);
    if (plugins)
        CU_add_test(suite, "caches swapped while they are read", swapped_caches);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
