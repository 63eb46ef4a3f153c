/*
 * Buffers of the host in several boxes: one memory, rights that nobody can exceed, resets, snapshots, forks, threads.
 */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_box.h"
#include "test_snapshot.h"

#define AT 0x60000u
#define PAGES(n) ((n) * VX_PAGE_BYTES)

/* eax = the buffer's first word; the second is increased. */
GUEST(use, "   movl 0x60000, %eax\n"
           "   lock incl 0x60004\n"
           "   int $0x80\n");

/* Adds one to the second word 100,000 times. */
GUEST(add, "   movl $100000, %ecx\n"
           "1: lock incl 0x60004\n"
           "   decl %ecx\n"
           "   jnz 1b\n"
           "   int $0x80\n");

/* Runs what is in the buffer. */
GUEST(jump, "   movl $0x60000, %eax\n   jmp *%eax\n");

static struct vx_buffer *new_buffer(uint64_t size)
{
    struct vx_buffer *buffer = NULL;
    CU_ASSERT_EQUAL_FATAL(vx_buffer_new(size, &buffer), VX_OK);
    return buffer;
}

static void test_shared(void)
{
    struct vx_buffer *buffer = new_buffer(PAGES(4) - 5);
    uint32_t *words = vx_buffer_data(buffer), seen;
    struct vx_box *writer = BOX(use), *other = BOX(use), *reader = BOX(use);
    struct vx_trap trap;
    CU_ASSERT_EQUAL(vx_buffer_size(buffer), PAGES(4));
    CU_ASSERT_EQUAL(words[0], 0);
    CU_ASSERT_EQUAL(vx_box_share(writer, buffer, 0, AT, PAGES(4), RW), VX_OK);
    CU_ASSERT_EQUAL(vx_box_share(other, buffer, 0, AT, PAGES(1), RW), VX_OK);
    CU_ASSERT_EQUAL(vx_box_share(reader, buffer, 0, AT, PAGES(4), VX_PROT_READ), VX_OK);
    words[0] = 0x12345678;
    CU_ASSERT_EQUAL(run_to(writer, VX_TRAP_SYSCALL, &trap).eax, 0x12345678);
    CU_ASSERT_EQUAL(run_to(other, VX_TRAP_SYSCALL, &trap).eax, 0x12345678);
    CU_ASSERT_EQUAL(words[1], 2);
    CU_ASSERT_EQUAL(vx_box_read(reader, AT + 4, &seen, sizeof seen), VX_OK);
    CU_ASSERT_EQUAL(seen, 2);
    CU_ASSERT_EQUAL(*(uint32_t *)vx_box_pointer(reader, AT + 4, 4, VX_PROT_READ), 2);
    run_to(reader, VX_TRAP_PAGE, &trap);
    CU_ASSERT_TRUE(trap.address == AT + 4 && trap.access == VX_ACCESS_WRITE && trap.is_protection);
    CU_ASSERT_EQUAL(words[1], 2);
    /* A part, elsewhere. */
    CU_ASSERT_EQUAL(vx_box_share(reader, buffer, PAGES(3), 0x70000, PAGES(1), RW), VX_OK);
    CU_ASSERT_EQUAL(vx_box_write(reader, 0x70000, "part", 4), VX_OK);
    CU_ASSERT_EQUAL(memcmp((uint8_t *)words + PAGES(3), "part", 4), 0);
    /* Boxes keep what the host has closed. */
    vx_buffer_close(buffer);
    vx_buffer_close(NULL);
    CU_ASSERT_EQUAL(vx_box_read(writer, AT + 4, &seen, sizeof seen), VX_OK);
    CU_ASSERT_EQUAL(seen, 2);
    set_eip(other, CODE);
    run_to(other, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(vx_box_read(writer, AT + 4, &seen, sizeof seen), VX_OK);
    CU_ASSERT_EQUAL(seen, 3);
    vx_box_free(writer);
    vx_box_free(other);
    vx_box_free(reader);
}

static void test_bounds(void)
{
    struct vx_buffer *buffer = new_buffer(PAGES(4));
    struct vx_box *box = NULL, *small = NULL;
    struct vx_error error;
    struct vx_box_options options = { .size = sizeof options, .max_memory = PAGES(2) };
    CU_ASSERT_EQUAL(vx_buffer_new(0, &buffer), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_buffer_new(UINT64_MAX, &buffer), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_buffer_new(1, NULL), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_buffer_new(1ull << 62, &buffer), VX_ERR_MEMORY);
    CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, NULL, &box, &error), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, &options, &small, &error), VX_OK);
    CU_ASSERT_EQUAL(vx_box_share(NULL, buffer, 0, AT, PAGES(1), RW), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_box_share(box, NULL, 0, AT, PAGES(1), RW), VX_ERR_ARGUMENT);
    for (int prot = 0; prot < 16; prot++)
        if (prot != VX_PROT_READ && prot != RW)
            CU_ASSERT_EQUAL(vx_box_share(box, buffer, 0, AT, PAGES(1), prot), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_box_share(box, buffer, 0, AT, PAGES(5), RW), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_share(box, buffer, PAGES(4), AT, PAGES(1), RW), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_share(box, buffer, 0ull - PAGES(1), AT, PAGES(2), RW), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_share(box, buffer, 1, AT, PAGES(1), RW), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_share(box, buffer, 0, AT + 1, PAGES(1), RW), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_share(box, buffer, 0, AT, 1, RW), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_share(box, buffer, 0, AT, 0, RW), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_share(box, buffer, 0, 0, PAGES(1), RW), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_share(box, buffer, 0, 0xfffff000, PAGES(2), RW), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_share(small, buffer, 0, AT, PAGES(3), RW), VX_ERR_TOO_LARGE);
    CU_ASSERT_EQUAL(vx_box_share(small, buffer, 0, AT, PAGES(2), RW), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map(small, 0x90000, PAGES(1), RW), VX_ERR_TOO_LARGE);
    CU_ASSERT_EQUAL(vx_box_unmap(small, AT, PAGES(1)), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map(small, 0x90000, PAGES(1), RW), VX_OK);
    vx_box_free(box);
    vx_box_free(small);
    vx_buffer_close(buffer);
}

/* Never more than granted, however it is asked for; and never to be executed. */
static void test_rights(void)
{
    struct vx_buffer *buffer = new_buffer(PAGES(4));
    memcpy(vx_buffer_data(buffer), "\xcd\x80\x90", 3);
    struct vx_box *box = BOX(jump);
    struct vx_trap trap;
    uint32_t word = 7;
    CU_ASSERT_EQUAL(vx_box_share(box, buffer, 0, AT, PAGES(4), VX_PROT_READ), VX_OK);
    /* Private pages before and after keep what they have when the whole is refused. */
    CU_ASSERT_EQUAL(vx_box_map(box, AT - PAGES(1), PAGES(1), VX_PROT_READ), VX_OK);
    for (int prot = 0; prot < 8; prot++) {
        bool is_refused = prot & (VX_PROT_WRITE | VX_PROT_EXEC);
        CU_ASSERT_EQUAL(vx_box_protect(box, AT - PAGES(1), PAGES(3), prot), is_refused ? VX_ERR_RANGE : VX_OK);
        CU_ASSERT_EQUAL(vx_box_page_prot(box, AT - PAGES(1)), is_refused ? 0 : prot);
        CU_ASSERT_EQUAL(vx_box_protect(box, AT - PAGES(1), PAGES(3), VX_PROT_NONE), VX_OK);
    }
    CU_ASSERT_EQUAL(vx_box_protect(box, AT, PAGES(4), VX_PROT_READ), VX_OK);
    CU_ASSERT_EQUAL(vx_box_write(box, AT, &word, 4), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_poke(box, AT, &word, 4), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_poke(box, AT - 2, &word, 4), VX_ERR_RANGE);
    CU_ASSERT_PTR_NULL(vx_box_pointer(box, AT, 4, RW));
    run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_TRUE(trap.access == VX_ACCESS_EXEC && trap.address == AT);
    CU_ASSERT_EQUAL(memcmp(vx_buffer_data(buffer), "\xcd\x80\x90", 4), 0);
    /* With the right to write: given up and taken again, but not to execute. */
    CU_ASSERT_EQUAL(vx_box_share(box, buffer, PAGES(1), AT + PAGES(1), PAGES(1), RW), VX_OK);
    CU_ASSERT_EQUAL(vx_box_protect(box, AT + PAGES(1), PAGES(1), VX_PROT_NONE), VX_OK);
    CU_ASSERT_EQUAL(vx_box_write(box, AT + PAGES(1), &word, 4), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_protect(box, AT + PAGES(1), PAGES(1), RWX), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_protect(box, AT + PAGES(1), PAGES(2), RW), VX_ERR_RANGE);
    CU_ASSERT_EQUAL(vx_box_protect(box, AT + PAGES(1), PAGES(1), RW), VX_OK);
    CU_ASSERT_EQUAL(vx_box_write(box, AT + PAGES(1), &word, 4), VX_OK);
    CU_ASSERT_EQUAL(((uint32_t *)vx_buffer_data(buffer))[PAGES(1) / 4], 7);
    /* Unmapped, and pages of its own there: the buffer is out of reach. */
    CU_ASSERT_EQUAL(vx_box_unmap(box, AT, PAGES(4)), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map(box, AT, PAGES(4), RWX), VX_OK);
    word = 9;
    CU_ASSERT_EQUAL(vx_box_write(box, AT + PAGES(1), &word, 4), VX_OK);
    CU_ASSERT_EQUAL(((uint32_t *)vx_buffer_data(buffer))[PAGES(1) / 4], 7);
    vx_box_free(box);
    vx_buffer_close(buffer);
}

static void test_reset(void)
{
    struct vx_buffer *buffer = new_buffer(PAGES(4));
    uint32_t *words = vx_buffer_data(buffer);
    struct vx_box *box = BOX(use);
    struct vx_trap trap;
    CU_ASSERT_EQUAL(vx_box_map(box, AT, PAGES(1), RW), VX_OK);
    struct vx_snapshot *clean = snapshot_of(box);
    struct vx_box *twin = box_from(clean);
    for (int i = 0; i < 3; i++) {
        words[0] = 0x5ec4e7;
        CU_ASSERT_EQUAL(vx_box_share(box, buffer, 0, AT, PAGES(4), RW), VX_OK);
        CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 0x5ec4e7);
        CU_ASSERT_EQUAL(words[1], (uint32_t)i + 1);
        CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
        SAME_STATE(box, twin);
        CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 0);
        CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
        CU_ASSERT_EQUAL(words[1], (uint32_t)i + 1);
    }
    /* Nothing of it is in a snapshot, and the box that had it when the snapshot was made loses it by a reset. */
    CU_ASSERT_EQUAL(vx_box_share(box, buffer, 0, AT, PAGES(2), RW), VX_OK);
    CU_ASSERT_EQUAL(vx_box_share(box, buffer, 0, 0x70000, PAGES(2), VX_PROT_READ), VX_OK);
    struct vx_snapshot *later = snapshot_of(box);
    struct vx_box *other = box_from(later);
    CU_ASSERT_EQUAL(vx_box_page_prot(other, AT), -1);
    CU_ASSERT_EQUAL(vx_box_page_prot(other, 0x70000), -1);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 0x5ec4e7);
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
    SAME_STATE(box, other);
    CU_ASSERT_EQUAL(words[0], 0x5ec4e7);
    /* The memory is counted right: as much may be mapped as before. */
    CU_ASSERT_EQUAL(vx_box_map(box, AT, PAGES(4), RW), VX_OK);
    CU_ASSERT_EQUAL(vx_box_reset(box), VX_OK);
    SAME_STATE(box, other);
    vx_snapshot_close(clean);
    vx_snapshot_close(later);
    vx_box_free(box);
    vx_box_free(twin);
    vx_box_free(other);
    vx_buffer_close(buffer);
}

static void test_fork(void)
{
    struct vx_buffer *buffer = new_buffer(PAGES(1));
    uint32_t *words = vx_buffer_data(buffer);
    struct vx_box *box = BOX(use);
    struct vx_trap trap;
    int status;
    CU_ASSERT_EQUAL(vx_box_share(box, buffer, 0, AT, PAGES(1), RW), VX_OK);
    pid_t child = fork();
    if (child == 0) {
        bool is_good = vx_box_run(box, &trap) == VX_OK && trap.kind == VX_TRAP_SYSCALL &&
                       vx_box_protect(box, AT, PAGES(1), RX) == VX_ERR_RANGE;
        _exit(is_good ? 0 : 1);
    }
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_EQUAL(words[1], 1);
    vx_box_free(box);
    vx_buffer_close(buffer);
}

/* The same rights for files that are mapped to be shared; and the functions that only tell something. */
static void test_map_shared(void)
{
    int file = memfd_create("test", MFD_CLOEXEC);
    struct vx_box *box = BOX(use);
    struct vx_trap trap;
    uint32_t word = 0;
    size_t count = 0;
    CU_ASSERT_EQUAL_FATAL(ftruncate(file, VX_PAGE_BYTES), 0);
    CU_ASSERT_NOT_EQUAL(vx_box_map_shared(box, AT, PAGES(1), RWX, file, 0), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map_shared(box, AT, PAGES(1), RW, file, 0), VX_OK);
    run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_EQUAL(pread(file, &word, 4, 4), 4);
    CU_ASSERT_EQUAL(word, 1);
    CU_ASSERT_EQUAL(vx_box_protect(box, AT, PAGES(1), RX), VX_ERR_RANGE);
    CU_ASSERT_PTR_NOT_NULL(vx_box_profile(box, &count));
    CU_ASSERT_TRUE(count >= 1);
    CU_ASSERT_TRUE(strlen(vx_version()) >= 5);
    vx_box_free(box);
    close(file);
}

static void *run(void *box)
{
    struct vx_trap trap;
    run_to(box, VX_TRAP_SYSCALL, &trap);
    return NULL;
}

static void test_threads(void)
{
    struct vx_buffer *buffer = new_buffer(PAGES(1));
    struct vx_box *boxes[4];
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        boxes[i] = BOX(add);
        CU_ASSERT_EQUAL(vx_box_share(boxes[i], buffer, 0, AT, PAGES(1), RW), VX_OK);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, run, boxes[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        vx_box_free(boxes[i]);
    }
    CU_ASSERT_EQUAL(((uint32_t *)vx_buffer_data(buffer))[1], 400000);
    vx_buffer_close(buffer);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("buffer", NULL, NULL);
    CU_add_test(suite, "shared", test_shared);
    CU_add_test(suite, "bounds", test_bounds);
    CU_add_test(suite, "rights", test_rights);
    CU_add_test(suite, "reset and snapshot", test_reset);
    CU_add_test(suite, "fork", test_fork);
    CU_add_test(suite, "mapped files", test_map_shared);
    CU_add_test(suite, "threads", test_threads);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
