/*
 * Private to the ELF reader: what elf32.c asks of elf32_tables.c.
 */
#ifndef VX_FORMAT_ELF32_PRIVATE_H
#define VX_FORMAT_ELF32_PRIVATE_H

#include "format/elf32.h"

/* Find .symtab and .dynsym by section headers. What is damaged counts as absent. */
void vxe_find_section_tables(struct vxe_elf *elf, uint32_t shoff, uint16_t shnum);

/* Check the dynamic section at addr and the tables that it names. VX_ERR_ELF_DYNAMIC. */
vx_status vxe_read_dynamic(struct vxe_elf *elf, vx_gaddr addr, uint32_t size,
                           struct vx_error *error);

#endif
