/*
 * The runtime with a cache: chunks are loaded when needed, verified, left
 * when the guest changes its code or a chunk is refused; and units put in by
 * hand. Uses the runtime's internal header.
 */
#include <CUnit/Basic.h>
#include <elf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "format/cpu.h"
#include "format/cache.h"
#include "test_box.h"
#include "vxc/translate/translate.h"
#include "vxrt/internal.h"

#define TEXT 0x08049000u
#define TEXT_BYTES 0x2000u
#define WORDS 0x0804b000u
#define FILE_BYTES 0x4000u
#define AT(label) #label "-guest_program+0x08049000"

/*
 * Adds up what seven functions far from each other return, directly and through a
 * table, `esi` times; then a system call. Code for the other tests is at +0x800.
 */
GUEST(program,
      "0: call 1f\n call 2f\n call 3f\n call *" AT(4f) "(,%edi,4)\n"
      "decl %esi\n jnz 0b\n int $0x80\n jmp 0b\n"
      ".org guest_program+0x200\n 1: addl $1, %eax\n ret\n"
      ".org guest_program+0x400\n 2: pushl %ebx\n addl $2, %eax\n popl %ebx\n ret\n"
      ".org guest_program+0x600\n 3: addl $3, %eax\n call 5f\n ret\n"
      ".org guest_program+0x700\n 4: .long " AT(5f) "\n"
      ".org guest_program+0x800\n 5: addl $5, %eax\n ret\n"
      ".org guest_program+0x900\n 6: incl %eax\n movl %eax, 0x0804b000\n pushl %eax\n pushl $7\n popl %edx\n popl %ecx\n jmp 6b\n"
      ".org guest_program+0xa00\n 7: movl $1, %eax\n movl 0x0, %ecx\n int $0x80\n"
      ".org guest_program+0xb00\n 8: movl %ecx, " AT(patched) "\n call 5b\n movl $0x11, %eax\n patched = . - 4\n int $0x80\n jmp 8b\n"
      ".org guest_program+0xc00\n 9: nop\n nop\n int $0x80\n"
      ".org guest_program+0x1000\n nop\n");

#define LOOP 0x900u
#define FAULT 0xa00u
#define PATCH 0xb00u
#define UNSEEN 0xc00u /* not in the cache */

struct program {
    uint8_t elf[FILE_BYTES];
    char path[64];
};

static void make_elf(uint8_t *bytes, bool is_dyn)
{
    uint32_t base = is_dyn ? TEXT : 0;
    Elf32_Ehdr header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
                          .e_type = is_dyn ? ET_DYN : ET_EXEC, .e_machine = EM_386, .e_version = 1,
                          .e_entry = TEXT - base, .e_phoff = sizeof header, .e_ehsize = sizeof header,
                          .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 2 };
    Elf32_Phdr segments[2] = {
        { .p_type = PT_LOAD, .p_offset = 0x1000, .p_vaddr = TEXT - base, .p_filesz = TEXT_BYTES,
          .p_memsz = TEXT_BYTES, .p_flags = PF_R | PF_X, .p_align = 0x1000 },
        { .p_type = PT_LOAD, .p_offset = 0x3000, .p_vaddr = WORDS - base, .p_filesz = 0x100, .p_memsz = 0x3000,
          .p_flags = PF_R | PF_W, .p_align = 0x1000 } };
    memset(bytes, 0, FILE_BYTES);
    memcpy(bytes, &header, sizeof header);
    memcpy(bytes + sizeof header, segments, sizeof segments);
    memcpy(bytes + 0x1000, guest_program, (size_t)(guest_program_end - guest_program));
    memset(bytes + 0x3000, 0x5a, 0x100);
}

/* Write a cache of the program; chunks of few bytes. spoil: put a system call into every chunk but the first. */
static void make_cache(struct program *program, bool spoil)
{
    struct vxt_span span = { TEXT, TEXT_BYTES, program->elf + 0x1000 };
    vx_gaddr seeds[] = { TEXT, TEXT + 0x800, TEXT + LOOP, TEXT + FAULT, TEXT + PATCH };
    struct vxt_input input = { .spans = &span, .span_count = 1, .seeds = seeds, .seed_count = 5,
                               .chunk_guest_bytes = 8, .threads = 1 };
    struct vxt_output output;
    struct vx_error error;
    CU_ASSERT_EQUAL_FATAL(vxt_translate(&input, &output), VX_OK);
    CU_ASSERT_TRUE(output.chunk_count > 4);
    for (size_t i = 1; spoil && i < output.chunk_count; i++)
        memcpy(output.code + output.chunks[i].host, "\x0f\x05", 2);
    struct vxf_page page = { TEXT, vxf_hash_page(program->elf + 0x1000, 4096) };
    struct vxf_content content = {
        .meta = { .guest_size = FILE_BYTES, .contract = VX_CONTRACT_VERSION, .options = VX_CPU_DEFAULT,
                  .guest_code_bytes = output.guest_code_bytes, .guest_insns = output.guest_insns },
        .code = output.code, .zone_size = output.code_size, .chunks = output.chunks,
        .chunk_count = output.chunk_count, .entries = output.entries, .entry_count = output.entry_count,
        .rows = output.rows, .row_count = output.row_count, .relocs = output.relocs,
        .reloc_count = output.reloc_count, .pages = &page, .page_count = 1 };
    vxf_hash128(program->elf, FILE_BYTES, content.meta.guest_hash);
    snprintf(program->path, sizeof program->path, "/tmp/vx-test-%d.vxc", (int)getpid());
    CU_ASSERT_EQUAL_FATAL(vxf_write(program->path, &content, 6, 1, &error), VX_OK);
    vxt_output_free(&output);
}

static struct vx_image *image_with(bool spoil)
{
    struct program *program = malloc(sizeof *program);
    struct vx_image *image = NULL;
    struct vx_error error;
    make_elf(program->elf, false);
    make_cache(program, spoil);
    struct vx_image_options options = { .size = sizeof options, .cache_path = program->path };
    CU_ASSERT_EQUAL_FATAL(vx_image_open_memory(program->elf, FILE_BYTES, &options, &image, &error), VX_OK);
    CU_ASSERT_EQUAL(vx_image_cache_status(image, &error), VX_OK);
    unlink(program->path);
    free(program);
    return image;
}

static struct vx_box *box_of(struct vx_image *image, bool no_dynamic, uint32_t offset)
{
    struct vx_box_options options = { .size = sizeof options, .no_dynamic = no_dynamic };
    struct vx_box *box = NULL;
    struct vx_error error;
    struct vx_regs regs;
    CU_ASSERT_EQUAL_FATAL(vx_box_new(image, &options, &box, &error), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, STACK, STACK_BYTES, RW), VX_OK);
    vx_box_get_regs(box, &regs);
    CU_ASSERT_EQUAL(regs.eip, TEXT);
    regs.eip += offset;
    regs.esp = STACK_TOP;
    regs.esi = 1000;
    vx_box_set_regs(box, &regs);
    return box;
}

/* One turn of the program: 1 + 2 + 3 + 5 + 5. */
#define TURN 16u

static void test_cached(void)
{
    struct vx_trap trap;
    struct vx_stats stats;
    struct vx_image *image = image_with(false);
    for (int i = 0; i < 3; i++) {
        struct vx_box *box = box_of(image, true, 0);
        CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 1000 * TURN);
        vx_box_stats(box, &stats);
        CU_ASSERT_EQUAL(stats.units_translated, 0);
        CU_ASSERT_TRUE(i == 0 ? stats.chunks_loaded > 2 : stats.chunks_loaded == 0);
        CU_ASSERT_EQUAL(stats.return_misses, 0);
        vx_box_free(box);
    }
    vx_image_close(image);
}

static void test_fault_in_cached(void)
{
    struct vx_trap trap;
    struct vx_image *image = image_with(false);
    struct vx_box *box = box_of(image, true, FAULT);
    struct vx_regs regs = run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_TRUE(regs.eip == TEXT + FAULT + 5 && regs.eax == 1 && trap.address == 0);
    /* In the middle of a block, and where no code was found. */
    set_eip(box, TEXT + FAULT + 5);
    run_to(box, VX_TRAP_PAGE, &trap);
    CU_ASSERT_EQUAL(trap.eip, TEXT + FAULT + 5);
    set_eip(box, TEXT + 0x1800);
    run_to(box, VX_TRAP_NOT_CACHED, &trap);
    CU_ASSERT_EQUAL(trap.eip, TEXT + 0x1800);
    vx_box_free(box);
    vx_image_close(image);
}

static void test_segments(void)
{
    uint8_t bytes[3];
    struct vx_image *image = image_with(false);
    struct vx_box *box = box_of(image, true, 0);
    struct vx_image_info info;
    vx_image_info(image, &info);
    CU_ASSERT_TRUE(info.entry == TEXT && info.low == TEXT && info.high == WORDS + 0x3000 && info.load_bias == 0);
    CU_ASSERT_EQUAL(vx_box_page_prot(box, TEXT), RX);
    CU_ASSERT_EQUAL(vx_box_page_prot(box, WORDS + 0x2fff), RW);
    CU_ASSERT_EQUAL(vx_box_page_prot(box, WORDS + 0x3000), -1);
    CU_ASSERT_EQUAL(vx_box_read(box, WORDS + 0xff, bytes, 3), VX_OK);
    CU_ASSERT_TRUE(bytes[0] == 0x5a && bytes[1] == 0 && bytes[2] == 0);
    vx_box_free(box);
    vx_image_close(image);
}

struct request {
    struct vx_box *box;
    atomic_bool is_over;
};

static void *request(void *argument)
{
    struct request *request = argument;
    while (!atomic_load(&request->is_over)) {
        usleep(100);
        vx_box_interrupt(request->box);
    }
    return NULL;
}

/* Stopped and gone on with hundreds of times, without the translator's help. */
static void test_stop_cached(void)
{
    struct vx_trap trap;
    struct vx_image *image = image_with(false);
    struct request job = { .box = box_of(image, true, LOOP) };
    pthread_t thread;
    uint32_t value;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, request, &job), 0);
    for (int i = 0; i < 500; i++) {
        struct vx_regs regs = run_to(job.box, VX_TRAP_STOPPED, &trap);
        CU_ASSERT_EQUAL(vx_box_read(job.box, WORDS, &value, 4), VX_OK);
        uint32_t depth = STACK_TOP - regs.esp, at = regs.eip - TEXT - LOOP;
        /* the first turn finds other words in memory */
        if (regs.eax > 1 && !((at == 0 && value == regs.eax && depth == 0) || (at == 1 && value + 1 == regs.eax) ||
                       (at == 6 && value == regs.eax && depth == 0) || (at == 7 && depth == 4) ||
                       (at == 9 && depth == 8) || (at == 10 && depth == 4 && regs.edx == 7) ||
                       (at == 11 && depth == 0 && regs.ecx == regs.eax)))
            CU_FAIL("state is not that of an instruction boundary");
    }
    atomic_store(&job.is_over, true);
    pthread_join(thread, NULL);
    vx_box_free(job.box);
    vx_image_close(image);
}

/* The guest rewrites an instruction of the image: exact at once, with and without the translator. */
static void test_rewrite_cached(void)
{
    struct vx_trap trap;
    struct vx_stats stats;
    struct vx_regs regs;
    struct vx_image *image = image_with(false);
    for (int no_dynamic = 0; no_dynamic < 2; no_dynamic++) {
        struct vx_box *box = box_of(image, no_dynamic, PATCH);
        run_to(box, VX_TRAP_PAGE, &trap);
        CU_ASSERT_TRUE(trap.is_protection && trap.access == VX_ACCESS_WRITE && trap.eip == TEXT + PATCH);
        CU_ASSERT_EQUAL(vx_box_protect(box, TEXT, TEXT_BYTES, RWX), VX_OK);
        vx_box_get_regs(box, &regs);
        regs.ecx = 0x22;
        vx_box_set_regs(box, &regs);
        if (no_dynamic) {
            run_to(box, VX_TRAP_NOT_CACHED, &trap);
            CU_ASSERT_EQUAL(trap.eip, TEXT + PATCH);
        } else {
            CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 0x22);
            vx_box_stats(box, &stats);
            CU_ASSERT_TRUE(stats.code_invalidations > 0 && stats.units_translated > 0);
        }
        vx_box_free(box);
    }
    /* Other boxes are not concerned. */
    struct vx_box *box = box_of(image, true, 0);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 1000 * TURN);
    vx_box_free(box);
    vx_image_close(image);
}

/* A chunk that the verifier refuses: the box goes on by translation, or says so. */
static void test_refused_chunk(void)
{
    struct vx_trap trap;
    struct vx_stats stats;
    struct vx_error error;
    struct vx_image *image = image_with(true);
    struct vx_box *box = box_of(image, true, 0);
    run_to(box, VX_TRAP_ERROR, &trap);
    CU_ASSERT_TRUE(trap.status == VX_ERR_REJECTED && trap.detail != 0);
    vx_box_free(box);
    CU_ASSERT_EQUAL(vx_image_cache_status(image, &error), VX_ERR_REJECTED);
    vx_image_close(image);
    image = image_with(true);
    box = box_of(image, false, 0);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 1000 * TURN);
    vx_box_stats(box, &stats);
    CU_ASSERT_TRUE(stats.units_translated > 0);
    vx_box_free(box);
    vx_image_close(image);
}

static void test_other_guest(void)
{
    struct program *program = malloc(sizeof *program);
    struct vx_image *image = NULL;
    struct vx_error error;
    struct vx_trap trap;
    make_elf(program->elf, false);
    make_cache(program, false);
    program->elf[0x3080] ^= 1;
    struct vx_image_options options = { .size = sizeof options, .cache_path = program->path };
    CU_ASSERT_EQUAL_FATAL(vx_image_open_memory(program->elf, FILE_BYTES, &options, &image, &error), VX_OK);
    CU_ASSERT_EQUAL(vx_image_cache_status(image, &error), VX_ERR_VXC_GUEST);
    struct vx_box *box = box_of(image, false, 0);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 1000 * TURN);
    vx_box_free(box);
    box = box_of(image, true, 0);
    run_to(box, VX_TRAP_NOT_CACHED, &trap);
    vx_box_free(box);
    vx_image_close(image);
    unlink(program->path);
    free(program);
}

static void *run_shared(void *image)
{
    uintptr_t good = 1;
    for (int i = 0; i < 20; i++) {
        struct vx_box_options options = { .size = sizeof options, .no_dynamic = true };
        struct vx_box *box;
        struct vx_error error;
        struct vx_trap trap;
        struct vx_regs regs;
        if (vx_box_new(image, &options, &box, &error) != VX_OK || vx_box_map(box, STACK, STACK_BYTES, RW) != VX_OK)
            return NULL;
        vx_box_get_regs(box, &regs);
        regs.esp = STACK_TOP;
        regs.esi = 100;
        vx_box_set_regs(box, &regs);
        good &= vx_box_run(box, &trap) == VX_OK && trap.kind == VX_TRAP_SYSCALL;
        vx_box_get_regs(box, &regs);
        good &= regs.eax == 100 * TURN;
        vx_box_free(box);
    }
    return (void *)good;
}

/* Threads meet at chunks that are just being loaded. */
static void test_shared_image(void)
{
    for (int turn = 0; turn < 10; turn++) {
        struct vx_image *image = image_with(false);
        pthread_t threads[4];
        for (int i = 0; i < 4; i++)
            CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, run_shared, image), 0);
        for (int i = 0; i < 4; i++) {
            void *result;
            pthread_join(threads[i], &result);
            CU_ASSERT_PTR_NOT_NULL(result);
        }
        vx_image_close(image);
    }
}

/* ---- units put in by hand ---- */

__asm__(".pushsection .rodata\n"
        "unit_good: incl %eax\n movl $0x10007, %r8d\n movl $0x02000001, %r9d\n jmpq *8(%r15)\nunit_good_end:\n"
        "unit_bad: incl %eax\n syscall\n hlt\nunit_bad_end:\n"
        ".popsection");
extern const uint8_t unit_good[], unit_good_end[], unit_bad[], unit_bad_end[];

static vx_status add(struct vx_box *box, const uint8_t *code, const uint8_t *end, uint32_t entry, uint32_t *rule)
{
    struct vxf_entry entries[] = { { CODE + 6, entry } };
    struct vxf_row rows[] = { { 0, CODE + 6, 0, VXF_ROW_INSN }, { 2, CODE + 7, 0, VXF_ROW_INSN } };
    vx_gaddr page = CODE;
    struct vxi_unit *unit;
    struct vxi_unit_code unit_code = { .code = code, .size = (uint32_t)(end - code), .entries = entries,
                                       .entry_count = 1, .rows = rows, .row_count = 2, .pages = &page,
                                       .page_count = 1 };
    return vxi_unit_add(box, &unit_code, &unit, rule);
}

GUEST(nothing, "nop\n");

static void test_units(void)
{
    struct vx_trap trap;
    uint32_t rule;
    struct vx_box *box = BOX(nothing);
    CU_ASSERT_EQUAL(add(box, unit_bad, unit_bad_end, 0, &rule), VX_ERR_REJECTED);
    CU_ASSERT_TRUE(rule > 0);
    CU_ASSERT_EQUAL(add(box, unit_good, unit_good_end, 1, &rule), VX_ERR_REJECTED);
    CU_ASSERT_EQUAL(add(box, unit_good, unit_good_end, 0, &rule), VX_OK);
    for (uint32_t i = 1; i <= 3; i++) {
        set_eip(box, CODE + 6);
        struct vx_regs regs = run_to(box, VX_TRAP_SYSCALL, &trap);
        CU_ASSERT_TRUE(regs.eax == i && regs.eip == CODE + 9);
    }
    /* A mapping of the zone is never both writable and executable. */
    char line[256];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps))
        CU_ASSERT_PTR_NULL(strstr(line, "rwx"));
    if (maps)
        fclose(maps);
    /* Everything is thrown away, and made again. */
    vxi_units_flush(box);
    CU_ASSERT_EQUAL(add(box, unit_good, unit_good_end, 0, &rule), VX_OK);
    set_eip(box, CODE + 6);
    CU_ASSERT_EQUAL(run_to(box, VX_TRAP_SYSCALL, &trap).eax, 4);
    vx_box_free(box);
}

/* Memory of code is used again, so the slots that name it go. */
static void flushed_code_leaves_no_return_address(void)
{
    struct vx_box *box = NULL;
    struct vx_error error;
    CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, NULL, &box, &error), VX_OK);
    uint64_t *top = (uint64_t *)box->ctx->rsp_top, *low = top + 1 - VXI_RETURN_STACK_BYTES / 8;
    memset(low, 0x5a, VXI_RETURN_STACK_BYTES - 8);
    vxi_units_flush(box);
    CU_ASSERT_PTR_EQUAL(box->ctx->rsp, top);
    size_t left = 0;
    for (const uint64_t *slot = low; slot < top; slot++)
        left += *slot != 0;
    CU_ASSERT_EQUAL(left, 0);
    CU_ASSERT_NOT_EQUAL(*top, 0);
    vx_box_free(box);
}

/* A unit's memory is used again: the table has entries of units alone, and none when they are gone. */
static void flushed_code_leaves_no_slot(void)
{
    struct vx_trap trap;
    struct vx_image *image = image_with(false);
    struct vx_box *box = box_of(image, false, UNSEEN);
    run_to(box, VX_TRAP_SYSCALL, &trap);
    /* in the middle of the unit, in a page that the cache stands for */
    for (uint32_t at = UNSEEN + 1; at < UNSEEN + 3; at++) {
        set_eip(box, TEXT + at);
        run_to(box, VX_TRAP_SYSCALL, &trap);
        CU_ASSERT_EQUAL(*VXI_SLOT(box->ctx, TEXT + at), 0);
    }
    set_eip(box, TEXT + UNSEEN);
    run_to(box, VX_TRAP_SYSCALL, &trap);
    CU_ASSERT_NOT_EQUAL(*VXI_SLOT(box->ctx, TEXT + UNSEEN), 0);
    *VXI_SLOT(box->ctx, TEXT + UNSEEN + 1) = 1;
    vxi_units_flush(box);
    CU_ASSERT_EQUAL(*VXI_SLOT(box->ctx, TEXT + UNSEEN), 0);
    CU_ASSERT_EQUAL(*VXI_SLOT(box->ctx, TEXT + UNSEEN + 1), 0);
    set_eip(box, TEXT + UNSEEN);
    run_to(box, VX_TRAP_SYSCALL, &trap);
    vx_box_free(box);
    vx_image_close(image);
}

/* Every other page has its code in a zone, then the pages between. */
static void test_zones_of_pages(void)
{
    enum { COUNT = 1 << 17 };
    struct vx_image *image = image_with(false);
    struct vx_box *box = NULL;
    struct vx_error error;
    struct vxi_pages *pages = malloc(COUNT * sizeof *pages);
    CU_ASSERT_EQUAL_FATAL(vx_box_new(NULL, NULL, &box, &error), VX_OK);
    for (uint32_t odd = 0; odd < 2; odd++) {
        for (uint32_t i = 0; i < COUNT; i++)
            pages[i] = (struct vxi_pages){ 4 * i + 2 * odd, 4 * i + 2 * odd };
        CU_ASSERT_EQUAL(vxi_zones_add(box, image->zone, pages, COUNT), VX_OK);
        CU_ASSERT_EQUAL(vxi_zones_add(box, image->zone, &pages[COUNT / 2], 1), VX_ERR_ARGUMENT);
    }
    CU_ASSERT_EQUAL(vxi_zones_add(box, image->zone, &(struct vxi_pages){ 3, 4 }, 1), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vxi_zones_add(box, image->zone, &(struct vxi_pages){ 1, 2 }, 1), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(box->zones->count, 2 * COUNT);
    memset(box->pages, VXI_PAGE_IMAGE, 2 * COUNT);
    for (uint32_t page = 0; page < 2 * COUNT; page++)
        CU_ASSERT_EQUAL(vxi_zone_of(box, page * VX_PAGE_BYTES) != NULL, page % 2 == 0);
    memset(box->pages, 0, 2 * COUNT);
    free(pages);
    vx_box_free(box);
    vx_image_close(image);
}

static void test_map(void)
{
    struct vxi_map map = { 0 };
    uint32_t value;
    for (uint32_t i = 0; i < 20000; i++)
        CU_ASSERT_TRUE(vxi_map_set(&map, i * 0x1001, i));
    for (uint32_t i = 0; i < 20000; i += 2)
        vxi_map_remove(&map, i * 0x1001);
    for (uint32_t i = 0; i < 20000; i++)
        CU_ASSERT_TRUE(vxi_map_get(&map, i * 0x1001, &value) == (i % 2 == 1) && (i % 2 == 0 || value == i));
    for (uint32_t i = 0; i < 20000; i++)
        CU_ASSERT_TRUE(vxi_map_set(&map, i * 0x1001, i + 1));
    CU_ASSERT_TRUE(vxi_map_get(&map, 0x1001, &value) && value == 2);
    vxi_map_clear(&map);
    CU_ASSERT_FALSE(vxi_map_get(&map, 0x1001, &value));
    vxi_map_free(&map);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("runtime", NULL, NULL);
    CU_add_test(suite, "run from the cache", test_cached);
    CU_add_test(suite, "faults in cached code", test_fault_in_cached);
    CU_add_test(suite, "segments", test_segments);
    CU_add_test(suite, "stop in cached code", test_stop_cached);
    CU_add_test(suite, "rewrite cached code", test_rewrite_cached);
    CU_add_test(suite, "refused chunk", test_refused_chunk);
    CU_add_test(suite, "cache of another guest", test_other_guest);
    CU_add_test(suite, "threads share an image", test_shared_image);
    CU_add_test(suite, "units", test_units);
    CU_add_test(suite, "flushed code leaves no return address", flushed_code_leaves_no_return_address);
    CU_add_test(suite, "flushed code leaves no slot", flushed_code_leaves_no_slot);
    CU_add_test(suite, "zones of many pages", test_zones_of_pages);
    CU_add_test(suite, "address map", test_map);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures() + (CU_get_number_of_tests_run() == 0);
    CU_cleanup_registry();
    return failed != 0;
}
