/*
 * Driver for Frama-C's Eva (scripts/frama.sh): the ELF reader's headers and segments over any cursor. The segments of a file one more than there were, from none to
 * the most; searches among each number of them; headers of two segments. vxe_open itself only calls these, one after the other, and elf32_tables.c, which has
 * a driver of its own.
 */
#include "tests/frama/any_elf.h"

#include "format/elf32.c"

void vxe_find_section_tables(struct vxe_elf *elf, uint32_t shoff, uint16_t shnum)
{
    (void)elf, (void)shoff, (void)shnum;
}

vx_status vxe_read_dynamic(struct vxe_elf *elf, vx_gaddr addr, uint32_t size, struct vx_error *error)
{
    (void)elf, (void)addr, (void)size, (void)error;
    return Frama_C_interval(0, 1) ? VX_OK : VX_ERR_ELF_DYNAMIC;
}

static void segments(size_t count)
{
    struct vxe_elf elf = any_elf(count);
    Elf32_Phdr p;
    uint32_t available;

    (void)vxe_at(&elf, Frama_C_unsigned_int_interval(0, UINT32_MAX), &available);
    (void)find_segment(&elf, Frama_C_unsigned_int_interval(0, UINT32_MAX));
    Frama_C_make_unknown((char *)&p, sizeof p);
    (void)add_load(&elf, &p);
    /*@ assert elf.segment_count <= VXE_MAX_SEGMENTS; */
    elf = any_elf(count);
    (void)check_entry(&elf, NULL);
    if (count)
        (void)check_overlap(&elf, NULL);
}

static void headers(void)
{
    struct vxe_elf elf = any_elf(2);
    struct header h;
    Elf32_Phdr p;

    (void)read_header(&elf, &h, NULL);
    Frama_C_make_unknown((char *)&h, sizeof h);
    locate_phdrs(&elf, &h);
    Frama_C_make_unknown((char *)&p, sizeof p);
    (void)set_interp(&elf, &p);
    (void)set_tls(&elf, &p);
    p.p_type = 0;
    elf = any_elf(0);
    h.phnum = 2;
    (void)read_phdrs(&elf, &h, &p, NULL);
}

int main(void)
{
    /*@ loop unroll 65; */
    for (size_t count = 0; count <= VXE_MAX_SEGMENTS; count++)
        segments(count);
    headers();
    return 0;
}
