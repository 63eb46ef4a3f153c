/*
 * Stops inside string instructions: their host code passes through states in which esi and edi carry the window's
 * base. Going on from there with the guest's 32 bits alone once sent "rep stos" outside the window.
 */
#include <CUnit/Basic.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "vxrt.h"

#define CODE 0x10000u
#define DATA 0x20000u
#define STOPS 3000

static atomic_bool is_done;

static void *interrupt_all_the_time(void *box)
{
    const struct timespec pause = { 0, 20000 };
    while (!atomic_load(&is_done)) {
        vx_box_interrupt(box);
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void stops_inside_string_instructions(void)
{
    /* 0: mov $DATA,%esi; mov $DATA+0x1000,%edi; mov $64,%ecx; rep movsb; movsb; stosl; lodsb; cmpsb; scasb;
     * rep stosb with ecx = 100; inc %ebx; jmp 0 */
    static const uint8_t code[] = {
        0xbe, 0x00, 0x00, 0x02, 0x00, 0xbf, 0x00, 0x10, 0x02, 0x00, 0xb9, 0x40, 0x00, 0x00, 0x00, 0xf3, 0xa4,
        0xa4, 0xab, 0xac, 0xa6, 0xae, 0xb9, 0x64, 0x00, 0x00, 0x00, 0xf3, 0xaa, 0x43, 0xeb, 0xe0,
    };
    struct vx_box *box;
    struct vx_error error;
    struct vx_trap trap;
    struct vx_regs regs;
    pthread_t thread;
    CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, NULL, &box, &error), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, CODE, 0x1000, VX_PROT_READ | VX_PROT_EXEC), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, DATA, 0x3000, VX_PROT_READ | VX_PROT_WRITE), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_poke(box, CODE, code, sizeof code), VX_OK);
    vx_box_get_regs(box, &regs);
    regs.eip = CODE;
    vx_box_set_regs(box, &regs);
    atomic_store(&is_done, false);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, interrupt_all_the_time, box), 0);
    unsigned stopped = 0;
    for (; stopped < STOPS; stopped++) {
        CU_ASSERT_EQUAL_FATAL(vx_box_run(box, &trap), VX_OK);
        if (trap.kind != VX_TRAP_STOPPED)
            break;
        vx_box_get_regs(box, &regs);
        if (regs.eip - CODE >= sizeof code || regs.edi - (DATA + 0x1000) > 0x200 || regs.esi - DATA > 0x200)
            if (regs.eip != CODE && regs.eip != CODE + 5) /* esi or edi are being set anew there */
                break;
    }
    CU_ASSERT_EQUAL(stopped, STOPS);
    atomic_store(&is_done, true);
    pthread_join(thread, NULL);
    vx_box_free(box);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("box_sequences", NULL, NULL);
    CU_add_test(suite, "stops inside string instructions", stops_inside_string_instructions);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
