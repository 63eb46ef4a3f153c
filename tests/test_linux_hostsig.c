/*
 * Host signals that reach other threads of the host than the one that runs the guest: their handlers may be at work, on what they found, while the
 * guest ends and is freed. It is not freed under them (AddressSanitizer sees it where it happens), and each guest ends as it should.
 */
#include <CUnit/Basic.h>
#include <elf.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "tests/test_box.h"
#include "vxrt/linux/linux.h"

#define LOAD 0x08048000u
#define ENTRY 0x100u
#define GUESTS 300
#define RECEIVERS 3
#define EXIT_CODE 7

/* A handler for SIGWINCH, which means nothing without one; then the end. */
GUEST(watches, "mov $67, %eax; mov $28, %ebx; mov $(1f - guest_watches + 0x08048100), %ecx; xor %edx, %edx; int $0x80\n"
               "mov $2000, %ecx; 0: loop 0b; mov $1, %eax; mov $7, %ebx; int $0x80\n"
               "1: .long 2f - guest_watches + 0x08048100, 0, 0, 0; 2: ret");

static uint8_t program[0x200];
static atomic_bool is_over;
static pthread_t receivers[RECEIVERS];

static void make_program(void)
{
    Elf32_Ehdr header = { .e_ident = { 0x7f, 'E', 'L', 'F', 1, 1, 1 }, .e_type = ET_EXEC, .e_machine = EM_386, .e_version = 1,
                          .e_entry = LOAD + ENTRY, .e_phoff = sizeof header, .e_ehsize = sizeof header,
                          .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 1 };
    Elf32_Phdr segment = { PT_LOAD, 0, LOAD, LOAD, sizeof program, sizeof program, PF_R | PF_X, 0x1000 };
    memcpy(program, &header, sizeof header);
    memcpy(program + sizeof header, &segment, sizeof segment);
    memcpy(program + ENTRY, guest_watches, (size_t)(guest_watches_end - guest_watches));
}

static void *receive(void *unused)
{
    while (!is_over)
        usleep(100);
    return NULL;
}

static void *send(void *unused)
{
    while (!is_over)
        for (int i = 0; i < RECEIVERS; i++)
            pthread_kill(receivers[i], SIGWINCH);
    return NULL;
}

static void guests_come_and_go(void)
{
    static const char *const none[] = { NULL }, *const arguments[] = { "guest", NULL };
    struct vx_image_options options = { .size = sizeof options };
    struct vx_image *image;
    struct vx_error error;
    pthread_t sender;
    make_program();
    CU_ASSERT_EQUAL_FATAL(vx_image_open_memory(program, sizeof program, &options, &image, &error), VX_OK);
    for (int i = 0; i < RECEIVERS; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&receivers[i], NULL, receive, NULL), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&sender, NULL, send, NULL), 0);
    const struct vxl_config config = { .box.size = sizeof config.box, .image = image, .program = "guest", .program_fd = -1, .argv = arguments, .envp = none };
    for (int i = 0; i < GUESTS; i++) {
        struct vxl_proc *proc;
        struct vxl_outcome outcome;
        CU_ASSERT_EQUAL_FATAL(vxl_new(&config, &proc, &error), VX_OK);
        vxl_run(proc, &outcome);
        CU_ASSERT(outcome.end == VXL_EXITED && outcome.code == EXIT_CODE);
        vxl_free(proc);
    }
    is_over = true;
    pthread_join(sender, NULL);
    for (int i = 0; i < RECEIVERS; i++)
        pthread_join(receivers[i], NULL);
    vx_image_close(image);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("linux_hostsig", NULL, NULL);
    CU_add_test(suite, "guests come and go", guests_come_and_go);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
