/*
 * Driver for Frama-C's Eva (scripts/frama.sh): the ELF reader's tables over any cursor. What walks a table keeps nothing from one entry to the next but
 * numbers, so that a dynamic section of two entries and one section header stand for more.
 */
#include "tests/frama/any_elf.h"

#include "format/elf32_tables.c"

const uint8_t *vxe_at(const struct vxe_elf *elf, vx_gaddr addr, uint32_t *available)
{
    (void)elf, (void)addr;
    if (Frama_C_interval(0, 1))
        return NULL;
    *available = Frama_C_unsigned_int_interval(1, UINT32_MAX);
    return taken + Frama_C_unsigned_int_interval(0, UINT32_MAX);
}

static struct vxe_elf small_elf(void)
{
    struct vxe_elf elf = any_elf(0);

    elf.dyn_count = 2;
    return elf;
}

int main(void)
{
    struct vxe_elf elf = small_elf();
    struct vxe_relr_walk walk;
    struct vxe_symbol symbol;
    struct vxe_reloc reloc;
    vx_gaddr where;
    uint32_t any = Frama_C_unsigned_int_interval(0, UINT32_MAX), value;

    vxe_find_section_tables(&elf, any, 1);
    elf = small_elf();
    (void)check_sizes(&elf);
    (void)find_relocs(&elf, DT_REL, DT_RELSZ, sizeof(Elf32_Rel), &elf.rel_off, &elf.rel_count);
    elf = small_elf();
    (void)find_symbols(&elf);
    elf = small_elf();
    (void)find_end(&elf, 2);
    elf = small_elf();
    (void)vxe_read_dynamic(&elf, any, Frama_C_unsigned_int_interval(0, 2 * sizeof(Elf32_Dyn)), NULL);
    elf = small_elf();
    Frama_C_make_unknown((char *)&walk, sizeof walk);
    (void)vxe_symbol(&elf, Frama_C_interval(0, 1), any, &symbol);
    (void)vxe_reloc(&elf, any, &reloc);
    (void)vxe_relr(&elf, &walk, &where);
    (void)vxe_dynamic(&elf, Frama_C_interval(-1, 100), &value);
    return 0;
}
