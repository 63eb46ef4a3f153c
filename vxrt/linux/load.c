/*
 * Starting a program: a box with the image's segments, or with those of a mapped file and
 * its interpreter, a stack with
 * arguments, environment and auxiliary vector as the Linux kernel lays them
 * out (create_elf_tables), and the registers at the entry point.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "format/cpu.h"
#include "format/error.h"
#include "vxrt/linux/map_elf.h"
#include "vxrt/linux/proc.h"
#include "vxrt/linux/threads.h"

#define STACK_TOP 0xffffd000u
#define STACK_BYTES (8u << 20)
#define STACK_GUARD (1u << 20)
#define MMAP_TOP (STACK_TOP - STACK_BYTES - STACK_GUARD)
#define STRINGS_LIMIT (2u << 20) /* bytes of arguments and environment, as RLIMIT_STACK / 4 */

/* CPUID.1:EDX of the virtual CPU: fpu cx8 cmov mmx fxsr sse sse2; tsc if it has it. */
#define HWCAP 0x07808101u
#define HWCAP_TSC 0x10u

/* A stack image, built from its end. */
struct stack {
    uint8_t *bytes; /* STRINGS_LIMIT + room; the last byte is at STACK_TOP - 1 */
    uint32_t size, used;
    uint32_t hwcap;
    bool is_full;
};

static vx_gaddr push(struct stack *stack, const void *bytes, size_t size)
{
    if (size > stack->size - stack->used) {
        stack->is_full = true;
        return 0;
    }
    stack->used += (uint32_t)size;
    memcpy(stack->bytes + stack->size - stack->used, bytes, size);
    return STACK_TOP - stack->used;
}

static vx_gaddr push_string(struct stack *stack, const char *text)
{
    return push(stack, text, strlen(text) + 1);
}

static void push_word(struct stack *stack, uint32_t word)
{
    push(stack, &word, 4);
}

static size_t count_strings(const char *const *list)
{
    size_t count = 0;
    while (list[count])
        count++;
    return count;
}

/* Strings of a list, last one first; their addresses to where[0..count]. */
static void push_strings(struct stack *stack, const char *const *list, size_t count, uint32_t *where)
{
    where[count] = 0;
    for (size_t i = count; i-- > 0;)
        where[i] = push_string(stack, list[i]);
}

static void push_aux(struct stack *stack, uint32_t type, uint32_t value)
{
    push_word(stack, value);
    push_word(stack, type);
}

static void push_auxv(struct stack *stack, const struct vx_image_info *info, vx_gaddr base, vx_gaddr execfn,
                      vx_gaddr random, vx_gaddr platform)
{
    push_aux(stack, AT_NULL, 0);
    push_aux(stack, AT_PLATFORM, platform);
    push_aux(stack, AT_EXECFN, execfn);
    push_aux(stack, AT_HWCAP2, 0);
    push_aux(stack, AT_RANDOM, random);
    push_aux(stack, AT_SECURE, 0);
    push_aux(stack, AT_EGID, 1000);
    push_aux(stack, AT_GID, 1000);
    push_aux(stack, AT_EUID, 1000);
    push_aux(stack, AT_UID, 1000);
    push_aux(stack, AT_ENTRY, info->entry);
    push_aux(stack, AT_FLAGS, 0);
    push_aux(stack, AT_BASE, base);
    push_aux(stack, AT_PHNUM, info->phdr_count);
    push_aux(stack, AT_PHENT, sizeof(Elf32_Phdr));
    push_aux(stack, AT_PHDR, info->phdr);
    push_aux(stack, AT_CLKTCK, 100);
    push_aux(stack, AT_PAGESZ, VX_PAGE_BYTES);
    push_aux(stack, AT_HWCAP, stack->hwcap);
}

#define AUX_WORDS (2 * 19)

static vx_status fill_stack(struct stack *stack, const struct vx_image_info *info, vx_gaddr base,
                            const char *execfn, const char *const *argv, const char *const *envp)
{
    size_t argc = count_strings(argv), envc = count_strings(envp);
    uint8_t random[16];
    if (argc + envc > STRINGS_LIMIT / 8)
        return VX_ERR_TOO_LARGE;
    uint32_t *arg_at = calloc(argc + envc + 2, sizeof *arg_at);
    if (!arg_at)
        return VX_ERR_MEMORY;
    uint32_t *env_at = arg_at + argc + 1;
    push_word(stack, 0);
    vx_gaddr execfn_at = push_string(stack, execfn);
    push_strings(stack, envp, envc, env_at);
    push_strings(stack, argv, argc, arg_at);
    vx_gaddr platform = push_string(stack, "i686");
    if (getrandom(random, sizeof random, 0) != sizeof random)
        memset(random, 0x5a, sizeof random);
    vx_gaddr random_at = push(stack, random, sizeof random);
    /* esp at argc is a multiple of 16 */
    size_t words = AUX_WORDS + argc + 1 + envc + 1 + 1;
    while ((stack->used + 4 * words) % 16 != (STACK_TOP & 15) && !stack->is_full)
        push(stack, "", 1);
    push_auxv(stack, info, base, execfn_at, random_at, platform);
    push(stack, env_at, 4 * (envc + 1));
    push(stack, arg_at, 4 * (argc + 1));
    push_word(stack, (uint32_t)argc);
    free(arg_at);
    return stack->is_full ? VX_ERR_TOO_LARGE : VX_OK;
}

/* Without PT_GNU_STACK, i386 programs may execute whatever they may read. */
static bool lacks_gnu_stack(struct vx_box *box, const struct vx_image_info *info)
{
    if (!info->phdr)
        return info->exec_stack;
    for (uint32_t i = 0; i < info->phdr_count; i++) {
        Elf32_Phdr phdr;
        if (vx_box_read(box, info->phdr + i * (uint32_t)sizeof phdr, &phdr, sizeof phdr))
            return info->exec_stack;
        if (phdr.p_type == PT_GNU_STACK)
            return false;
    }
    return info->exec_stack;
}

static vx_status make_stack(struct vx_box *box, const struct vx_image_info *info, vx_gaddr base,
                            const char *execfn, const char *const *argv,
                            const char *const *envp, vx_gaddr *esp)
{
    struct stack stack = {.size = STRINGS_LIMIT + (64u << 10),
                          .hwcap = HWCAP | (vxi_box_cpu(box) & VX_CPU_TSC ? HWCAP_TSC : 0)};
    stack.bytes = malloc(stack.size);
    if (!stack.bytes)
        return VX_ERR_MEMORY;
    int prot = VX_PROT_READ | VX_PROT_WRITE | (info->exec_stack ? VX_PROT_EXEC : 0);
    vx_status status = fill_stack(&stack, info, base, execfn, argv, envp);
    if (status == VX_OK)
        status = vx_box_map(box, STACK_TOP - STACK_BYTES, STACK_BYTES, prot);
    if (status == VX_OK)
        status = vx_box_poke(box, STACK_TOP - stack.used, stack.bytes + stack.size - stack.used,
                             stack.used);
    *esp = STACK_TOP - stack.used;
    free(stack.bytes);
    return status;
}

/* What was mapped for a program: the program itself, and where the guest begins. */
struct start {
    struct vx_image_info info;
    vx_gaddr entry, base; /* of the interpreter, if there is one; base 0 else */
};

static void describe(const struct vxl_mapped *m, struct vx_image_info *info)
{
    *info = (struct vx_image_info){.entry = m->entry, .load_bias = m->bias, .low = m->low, .high = m->high,
                                   .phdr = m->phdr, .phdr_count = m->phdr_count, .exec_stack = m->exec_stack};
}

static vx_status map_interpreter(struct vxl_proc *p, struct vx_box *box, const struct vxl_mapped *program,
                                 struct start *start, struct vx_error *error)
{
    struct vxl_mapped *interp = malloc(sizeof *interp);
    struct vxl_executable file;
    int found = vxl_open_executable(p, program->interp, &file);
    vx_status status = !interp ? VX_ERR_MEMORY : VX_OK;
    if (found < 0)
        status = found == -ENOENT ? VX_ERR_NOT_FOUND : VX_ERR_IO;
    if (status == VX_OK)
        status = vxl_map_elf(box, file.fd, MMAP_TOP, !program->has_stack_header, p->config->codes, interp, error);
    if (status == VX_OK) {
        start->entry = interp->entry;
        start->base = interp->bias;
    } else {
        vxi_fail(error, status, 0, "the interpreter %s", program->interp);
    }
    if (found >= 0)
        close(file.fd);
    free(interp);
    return status;
}

static vx_status map_program(struct vxl_proc *p, struct vx_box *box, int fd, struct start *start,
                             struct vx_error *error)
{
    struct vxl_mapped *program = malloc(sizeof *program);
    if (!program)
        return vxi_fail(error, VX_ERR_MEMORY, 0, "out of memory");
    vx_status status = vxl_map_elf(box, fd, 0, false, p->config->codes, program, error);
    describe(program, &start->info);
    start->entry = program->entry;
    if (status == VX_OK && *program->interp)
        status = map_interpreter(p, box, program, start, error);
    free(program);
    return status;
}

/* Everything that the program needs, in a new box. */
static vx_status fill_box(struct vxl_proc *p, struct vx_box *box, const struct vxl_source *source,
                          const char *const *argv, const char *const *envp, struct start *start, vx_gaddr *esp,
                          struct vx_error *error)
{
    vx_status status = VX_OK;
    if (source->image) {
        vx_image_info(source->image, &start->info);
        start->entry = start->info.entry;
    } else {
        status = map_program(p, box, source->fd, start, error);
    }
    if (status == VX_OK) {
        status = make_stack(box, &start->info, start->base, source->execfn, argv, envp, esp);
        error->status = status;
    }
    return status;
}

vx_status vxl_load(struct vxl_proc *p, const struct vxl_source *source, const char *const *argv,
                   const char *const *envp, struct vx_error *error)
{
    struct start start = {0};
    struct vx_box *box;
    vx_gaddr esp = 0;
    memset(error, 0, sizeof *error);
    if (source->image)
        vx_image_info(source->image, &start.info);
    if (start.info.interp) {
        *error = (struct vx_error){.status = VX_ERR_ELF_INTERP};
        return VX_ERR_ELF_INTERP;
    }
    if (source->image && start.info.entry == start.info.load_bias)
        return vxi_fail(error, VX_ERR_ELF_ENTRY, 0, "a shared object without an entry; it is for a host that calls its functions");
    vx_status status = vx_box_new(source->image, &p->config->box, &box, error);
    if (status)
        return status;
    status = fill_box(p, box, source, argv, envp, &start, &esp, error);
    if (status) {
        vx_box_free(box);
        return status;
    }
    vxl_threads_end_others(p);
    vx_box_free(p->box);
    p->box = box;
    vxl_hostsig_use_box(p);
    p->image = source->image;
    p->info = start.info;
    p->read_implies_exec = lacks_gnu_stack(box, &start.info);
    p->mmap_top = MMAP_TOP;
    p->regs = (struct vx_regs){
        .esp = esp, .eip = start.entry, .eflags = 0x202,
        .cs = VXI_SELECTOR_CODE, .ds = VXI_SELECTOR_DATA, .es = VXI_SELECTOR_DATA,
        .ss = VXI_SELECTOR_DATA,
    };
    vxl_mem_start(p);
    return VX_OK;
}
