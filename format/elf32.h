/*
 * Checked reader of i386 ELF files (ET_EXEC, ET_DYN incl. static PIE).
 *
 * Trusts no byte. The caller's buffer is borrowed and must not change
 * while the reader is in use. Addresses are the file's virtual addresses
 * (before load bias).
 */
#ifndef VX_FORMAT_ELF32_H
#define VX_FORMAT_ELF32_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/types.h"

#define VXE_MAX_SEGMENTS 64

enum { VXE_X = 1, VXE_W = 2, VXE_R = 4 }; /* as PF_X, PF_W, PF_R */

/* A PT_LOAD segment, checked: file range inside the file, file_size <=
 * mem_size, no wrap at 4 GiB, sorted by addr, no two share a byte. */
struct vxe_segment {
    vx_gaddr addr;
    uint32_t mem_size;
    uint32_t file_size;
    uint32_t file_offset;
    uint32_t prot; /* VXE_R | VXE_W | VXE_X */
};

struct vxe_symbol {
    const char *name; /* NUL-terminated inside the borrowed file bytes */
    vx_gaddr value;
    uint32_t size;
    uint8_t type;    /* STT_* */
    uint8_t binding; /* STB_* */
    bool defined;
};

struct vxe_reloc {
    vx_gaddr where;
    uint8_t type;    /* R_386_* */
    uint32_t symbol; /* index in the dynamic symbol table */
};

struct vxe_elf {
    const uint8_t *bytes;
    size_t size;
    bool is_dyn;          /* ET_DYN: may be placed at any page-aligned bias */
    vx_gaddr entry;       /* 0 for a library without one */
    size_t segment_count;
    struct vxe_segment segments[VXE_MAX_SEGMENTS];
    const char *interp;   /* PT_INTERP path or NULL */
    vx_gaddr phdr_addr;   /* guest address of the program headers, 0 if not in a segment */
    uint16_t phdr_count;
    vx_gaddr tls_addr;    /* PT_TLS, 0 sizes if none */
    uint32_t tls_file_size, tls_mem_size, tls_align;
    vx_gaddr eh_frame_hdr; /* PT_GNU_EH_FRAME, 0 if none */
    bool exec_stack;      /* PT_GNU_STACK asks for an executable stack (or is missing) */
    vx_gaddr low, high;   /* page-rounded address range of all segments [low, high) ; high may be 0 for 2^32 */
    /* private to the reader */
    uint32_t symtab_off, symtab_count, strtab_off, strtab_size;
    uint32_t dynsym_off, dynsym_count, dynstr_off, dynstr_size;
    uint32_t dyn_off, dyn_count;
    uint32_t rel_off, rel_count, jmprel_off, jmprel_count, relr_off, relr_count;
};

/* Parse and check. error->offset is a file offset. No allocation. */
vx_status vxe_open(const void *bytes, size_t size, struct vxe_elf *elf, struct vx_error *error);

/* Symbols: dynamic == false: .symtab (if section headers have one), true: .dynsym.
 * Returns false past the end; damaged entries have name "" and are not defined. */
bool vxe_symbol(const struct vxe_elf *elf, bool dynamic, uint32_t index, struct vxe_symbol *out);

/* Relocations of DT_REL and DT_JMPREL, one after the other. False past the end. */
bool vxe_reloc(const struct vxe_elf *elf, uint32_t index, struct vxe_reloc *out);

/* Relative relocations in the compact form of DT_RELR: the next address that one applies to, false at the end.
 * Start with a zeroed walk. */
struct vxe_relr_walk {
    uint32_t index, base, bits;
};
bool vxe_relr(const struct vxe_elf *elf, struct vxe_relr_walk *walk, vx_gaddr *where);

/* Value of a dynamic tag, false if absent. */
bool vxe_dynamic(const struct vxe_elf *elf, int32_t tag, uint32_t *value);

/* File-backed bytes at a guest address: pointer into the file and bytes available
 * from there in the segment, or NULL. */
const uint8_t *vxe_at(const struct vxe_elf *elf, vx_gaddr addr, uint32_t *available);

#endif
