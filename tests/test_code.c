/*
 * Code of caches attached to what a guest maps (vx_code, vx_box_attach): at several places, in
 * several zones that call each other, left when its pages change, and attached where it does not belong.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "format/cpu.h"
#include "format/sandbox.h"
#include "test_box.h"
#include "vxc/translate/translate.h"

#define BASE 0x1000u /* of the guest in its file */

/* Counts to three by way of a call and a jump through an absolute address: the code has relocations. */
GUEST(count, "   xorl %eax, %eax\n"
             "   call 1f\n"
             "   call 1f\n"
             "   call 1f\n"
             "   int $0x80\n"
             "   jmp *%ecx\n"
             "1: incl %eax\n"
             "   ret\n");
/* Calls what edi says, and adds 100. */
GUEST(caller, "  call *%edi\n"
              "  addl $100, %eax\n"
              "  int $0x80\n"
              "  jmp *%ecx\n");
GUEST(answer, "  movl $42, %eax\n"
              "  ret\n");
GUEST(count_four, "   xorl %eax, %eax\n   call 1f\n   call 1f\n   call 1f\n   call 1f\n   int $0x80\n   jmp *%ecx\n"
                  "1: incl %eax\n   ret\n");

static uint32_t code_cpu; /* what the code may use, whatever the cache says; 0: the default */
static char path[] = "/tmp/vx-code-XXXXXX";

/* The cache of guest code at BASE, open for reading. */
static int make_cache(const uint8_t *code, const uint8_t *end)
{
    vx_gaddr seed = BASE;
    struct vxt_span span = {BASE, (uint32_t)(end - code), code};
    struct vxt_input input = {.spans = &span, .span_count = 1, .seeds = &seed, .seed_count = 1, .threads = 1,
                              .position_independent = true, .cpu = code_cpu};
    struct vxt_output output;
    struct vx_error error;
    CU_ASSERT_EQUAL_FATAL(vxt_translate(&input, &output), VX_OK);
    struct vxf_page page = {BASE, vxf_hash_page(code, (size_t)(end - code))};
    struct vxf_content content = {
        .meta = {.guest_size = (uint64_t)(end - code), .contract = VX_CONTRACT_VERSION, .options = VX_CPU_DEFAULT, .relocatable = 1},
        .code = output.code, .zone_size = output.code_size, .chunks = output.chunks, .chunk_count = output.chunk_count,
        .entries = output.entries, .entry_count = output.entry_count, .rows = output.rows, .row_count = output.row_count,
        .relocs = output.relocs, .reloc_count = output.reloc_count, .pages = &page, .page_count = 1};
    CU_ASSERT_EQUAL_FATAL(vxf_write(path, &content, 6, 1, &error), VX_OK);
    vxt_output_free(&output);
    FILE *file = fopen(path, "re");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    int fd = dup(fileno(file));
    fclose(file);
    return fd;
}

static struct vx_code *open_code(const uint8_t *code, const uint8_t *end, vx_gaddr addr)
{
    struct vx_code *out = NULL;
    struct vx_error error;
    int fd = make_cache(code, end);
    CU_ASSERT_EQUAL_FATAL(vx_code_open(fd, addr - BASE, &out, &error), VX_OK);
    close(fd);
    return out;
}
#define OPEN_CODE(name, addr) open_code(guest_##name, guest_##name##_end, addr)

static void map_code(struct vx_box *box, vx_gaddr addr, const uint8_t *code, const uint8_t *end)
{
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, addr, VX_PAGE_BYTES, RX), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_poke(box, addr, code, (size_t)(end - code)), VX_OK);
}
#define MAP_CODE(box, addr, name) map_code(box, addr, guest_##name, guest_##name##_end)

static uint64_t translated(struct vx_box *box)
{
    struct vx_stats stats;
    vx_box_stats(box, &stats);
    return stats.units_translated;
}

static uint32_t run_at(struct vx_box *box, vx_gaddr addr)
{
    struct vx_trap trap;
    set_eip(box, addr);
    return run_to(box, VX_TRAP_SYSCALL, &trap).eax;
}

static void test_places(void)
{
    static const vx_gaddr places[] = {0x100000, 0x20000000, 0xe0000000};
    struct vx_box *box = BOX(answer);
    for (unsigned i = 0; i < 3; i++) {
        struct vx_code *code = OPEN_CODE(count, places[i]);
        MAP_CODE(box, places[i], count);
        CU_ASSERT_EQUAL(vx_box_attach(box, code, places[i], VX_PAGE_BYTES), VX_OK);
        vx_code_close(code); /* the box keeps it */
    }
    for (unsigned i = 0; i < 6; i++)
        CU_ASSERT_EQUAL(run_at(box, places[i % 3]), 3);
    CU_ASSERT_EQUAL(translated(box), 0);
    vx_box_free(box);
}

/* A cache that says less than its code uses: the verifier tells, and the code does not run. */
GUEST(uses_avx, "   vzeroall\n   xorl %eax, %eax\n   int $0x80\n");
GUEST(uses_random, "   rdrand %eax\n   xorl %eax, %eax\n   int $0x80\n");
static void refused_for_its_cpu(const char *cpu, const uint8_t *guest, const uint8_t *end)
{
    struct vx_box *box = BOX(answer);
    struct vx_trap trap;
    uint32_t rule;
    CU_ASSERT_TRUE_FATAL(vxf_cpu_parse(cpu, 0, &code_cpu));
    struct vx_code *code = open_code(guest, end, 0x100000);
    code_cpu = 0;
    map_code(box, 0x100000, guest, end);
    CU_ASSERT_EQUAL(vx_box_attach(box, code, 0x100000, VX_PAGE_BYTES), VX_OK);
    set_eip(box, 0x100000);
    run_to(box, VX_TRAP_UNDEFINED, &trap); /* as on the box's CPU */
    CU_ASSERT_EQUAL(trap.eip, 0x100000);
    CU_ASSERT_EQUAL(vx_code_status(code, &rule), VX_ERR_CPU);
    vx_code_close(code);
    vx_box_free(box);
}

static void test_more_than_its_cpu(void)
{
    refused_for_its_cpu("avx2", guest_uses_avx, guest_uses_avx_end);
    refused_for_its_cpu("sse4.2+rdrand", guest_uses_random, guest_uses_random_end);
}

static void test_shared(void)
{
    struct vx_code *code = OPEN_CODE(count, 0x100000);
    uint32_t rule;
    for (unsigned i = 0; i < 3; i++) {
        struct vx_box *box = BOX(answer);
        struct vx_stats stats;
        MAP_CODE(box, 0x100000, count);
        CU_ASSERT_EQUAL(vx_box_attach(box, code, 0x100000, VX_PAGE_BYTES), VX_OK);
        CU_ASSERT_EQUAL(run_at(box, 0x100000), 3);
        vx_box_stats(box, &stats);
        CU_ASSERT_EQUAL(stats.chunks_loaded, i == 0); /* once for all */
        vx_box_free(box);
    }
    CU_ASSERT_EQUAL(vx_code_status(code, &rule), VX_OK);
    vx_code_close(code);
}

static void test_errors(void)
{
    struct vx_box *box = BOX(answer);
    struct vx_code *code = OPEN_CODE(count, 0x100000), *none;
    struct vx_error error;
    uint64_t hash[2], size;
    MAP_CODE(box, 0x100000, count);
    CU_ASSERT_EQUAL(vx_box_attach(box, code, 0x100001, VX_PAGE_BYTES), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_box_attach(box, code, 0x100000, 0), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_box_attach(box, code, 0xfffff000, 2 * VX_PAGE_BYTES), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_box_attach(NULL, code, 0x100000, VX_PAGE_BYTES), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_box_attach(box, code, 0x100000, 2 * VX_PAGE_BYTES), VX_ERR_RANGE); /* not mapped */
    CU_ASSERT_EQUAL(vx_box_attach(box, code, DATA, VX_PAGE_BYTES), VX_ERR_RANGE);         /* not executable */
    CU_ASSERT_EQUAL(vx_box_protect(box, 0x100000, VX_PAGE_BYTES, RWX), VX_OK);
    CU_ASSERT_EQUAL(vx_box_attach(box, code, 0x100000, VX_PAGE_BYTES), VX_ERR_RANGE); /* writable */
    CU_ASSERT_EQUAL(vx_box_protect(box, 0x100000, VX_PAGE_BYTES, RX), VX_OK);
    CU_ASSERT_EQUAL(vx_box_attach(box, code, 0x100000, VX_PAGE_BYTES), VX_OK);
    CU_ASSERT_EQUAL(vx_box_attach(box, code, 0x100000, VX_PAGE_BYTES), VX_ERR_RANGE); /* taken */
    vx_code_guest(code, hash, &size);
    CU_ASSERT_EQUAL(size, (uint64_t)(guest_count_end - guest_count));
    int fd = make_cache(guest_count, guest_count_end);
    CU_ASSERT_EQUAL(vx_code_open(fd, 0x1001, &none, &error), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_code_open(fd, 0, NULL, &error), VX_ERR_ARGUMENT);
    close(fd);
    CU_ASSERT_NOT_EQUAL(vx_code_open(-1, 0, &none, &error), VX_OK);
    vx_code_close(NULL);
    vx_code_close(code);
    vx_box_free(box);
}

/* What the code stands for changes: the box leaves it at once. */
static void test_changes(void)
{
    struct vx_trap trap;
    for (unsigned way = 0; way < 4; way++) {
        struct vx_box *box = BOX(answer);
        struct vx_code *code = OPEN_CODE(count, 0x100000);
        MAP_CODE(box, 0x100000, count);
        CU_ASSERT_EQUAL(vx_box_attach(box, code, 0x100000, VX_PAGE_BYTES), VX_OK);
        CU_ASSERT_EQUAL(run_at(box, 0x100000), 3);
        switch (way) {
        case 0: /* written */
            CU_ASSERT_EQUAL(vx_box_poke(box, 0x100000, guest_count_four, (size_t)(guest_count_four_end - guest_count_four)), VX_OK);
            CU_ASSERT_EQUAL(run_at(box, 0x100000), 4);
            CU_ASSERT_EQUAL(translated(box), 1);
            break;
        case 1: /* replaced, and attached again */
            MAP_CODE(box, 0x100000, count);
            CU_ASSERT_EQUAL(vx_box_attach(box, code, 0x100000, VX_PAGE_BYTES), VX_OK);
            CU_ASSERT_EQUAL(run_at(box, 0x100000), 3);
            CU_ASSERT_EQUAL(translated(box), 0);
            break;
        case 2: /* gone */
            CU_ASSERT_EQUAL(vx_box_unmap(box, 0x100000, VX_PAGE_BYTES), VX_OK);
            set_eip(box, 0x100000);
            run_to(box, VX_TRAP_PAGE, &trap);
            CU_ASSERT_EQUAL(trap.access, VX_ACCESS_EXEC);
            break;
        default: /* not executable */
            CU_ASSERT_EQUAL(vx_box_protect(box, 0x100000, VX_PAGE_BYTES, VX_PROT_READ), VX_OK);
            set_eip(box, 0x100000);
            run_to(box, VX_TRAP_PAGE, &trap);
            CU_ASSERT_TRUE(trap.is_protection);
            break;
        }
        vx_code_close(code);
        vx_box_free(box);
    }
}

static void test_calls_between(void)
{
    struct vx_box *box = BOX(answer);
    struct vx_code *caller = OPEN_CODE(caller, 0x200000), *answer = OPEN_CODE(answer, 0x300000);
    struct vx_regs regs;
    MAP_CODE(box, 0x200000, caller);
    MAP_CODE(box, 0x300000, answer);
    CU_ASSERT_EQUAL(vx_box_attach(box, answer, 0x300000, VX_PAGE_BYTES), VX_OK);
    CU_ASSERT_EQUAL(vx_box_attach(box, caller, 0x200000, VX_PAGE_BYTES), VX_OK);
    vx_box_get_regs(box, &regs);
    regs.edi = 0x300000;
    vx_box_set_regs(box, &regs);
    CU_ASSERT_EQUAL(run_at(box, 0x200000), 142);
    CU_ASSERT_EQUAL(translated(box), 0);
    /* one of the two is left: the other stays */
    MAP_CODE(box, 0x300000, answer);
    CU_ASSERT_EQUAL(run_at(box, 0x200000), 142);
    CU_ASSERT_EQUAL(translated(box), 1);
    /* from the cache to run-time code, and back */
    regs.edi = CODE;
    vx_box_set_regs(box, &regs);
    CU_ASSERT_EQUAL(run_at(box, 0x200000), 142);
    vx_code_close(caller);
    vx_code_close(answer);
    vx_box_free(box);
}

/* Code of another guest: nonsense, in its sandbox. */
static void test_mistaken(void)
{
    struct vx_box *box = BOX(answer);
    struct vx_code *code = OPEN_CODE(count, 0x100000);
    MAP_CODE(box, 0x100000, count_four);
    CU_ASSERT_EQUAL(vx_box_attach(box, code, 0x100000, VX_PAGE_BYTES), VX_OK);
    CU_ASSERT_EQUAL(run_at(box, 0x100000), 3);
    vx_code_close(code);
    vx_box_free(box);
}

/* A guest that maps and unmaps without end holds no more than the limit. */
static void test_many(void)
{
    struct vx_box *box = BOX(answer);
    vx_status status = VX_OK;
    unsigned attached = 0;
    int fd = make_cache(guest_count, guest_count_end);
    for (; attached < 2000 && status == VX_OK; attached++) {
        struct vx_code *code = NULL;
        struct vx_error error;
        vx_gaddr addr = 0x1000000 + attached * VX_PAGE_BYTES;
        CU_ASSERT_EQUAL_FATAL(vx_code_open(fd, addr - BASE, &code, &error), VX_OK);
        MAP_CODE(box, addr, count);
        status = vx_box_attach(box, code, addr, VX_PAGE_BYTES);
        CU_ASSERT_EQUAL(run_at(box, addr), 3);
        CU_ASSERT_EQUAL(vx_box_unmap(box, addr, VX_PAGE_BYTES), VX_OK);
        vx_code_close(code);
    }
    CU_ASSERT_EQUAL(status, VX_ERR_MEMORY);
    CU_ASSERT_EQUAL(attached, 1025);
    close(fd);
    vx_box_free(box);
}

int main(void)
{
    int fd = mkstemp(path);
    if (fd < 0)
        return 1;
    close(fd);
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("code", NULL, NULL);
    CU_add_test(suite, "several places", test_places);
    CU_add_test(suite, "code for more than its CPU", test_more_than_its_cpu);
    CU_add_test(suite, "several boxes", test_shared);
    CU_add_test(suite, "errors", test_errors);
    CU_add_test(suite, "pages that change", test_changes);
    CU_add_test(suite, "calls between zones", test_calls_between);
    CU_add_test(suite, "code of another guest", test_mistaken);
    CU_add_test(suite, "no end of files", test_many);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    unlink(path);
    return failures ? 1 : 0;
}
