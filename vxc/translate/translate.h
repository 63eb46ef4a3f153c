/*
 * The translator: i386 code in, sandboxed x86-64 code out.
 *
 * Used by vxc ahead of time (a whole guest, many chunks) and by the runtime
 * (what one entry reaches, one chunk). Untrusted: whatever it emits goes
 * through the verifier.
 */
#ifndef VX_TRANSLATE_H
#define VX_TRANSLATE_H

#include <stddef.h>
#include <stdint.h>

#include "format/cache.h"
#include "format/cpu.h"

/* A run of executable guest bytes. */
struct vxt_span {
    vx_gaddr addr;
    uint32_t size;
    const uint8_t *bytes;
};

struct vxt_input {
    const struct vxt_span *spans; /* sorted, disjoint, not adjacent */
    size_t span_count;
    const struct vxt_span *data;  /* readable file-backed bytes, for jump tables; none: no speculation */
    size_t data_count;
    const vx_gaddr *seeds; /* where execution may arrive; outside spans: ignored */
    size_t seed_count;
    uint32_t max_insns;    /* stop discovering after about so many; 0 = no limit */
    uint32_t chunk_guest_bytes; /* aim for this much guest code a chunk; 0 = all in one chunk */
    unsigned threads;      /* >= 1; does not change the result */
    uint32_t cpu;          /* the guest's virtual CPU, VX_CPU_*; 0 = VX_CPU_DEFAULT */
    bool single;           /* translate only the instruction at seeds[0], ending in VX_EVENT_STEP */
    bool position_independent; /* no absolute addresses in code */
    bool (*is_known)(void *context, vx_gaddr addr); /* call targets that are translated already are not discovered; NULL: none is */
    void *known_context;
    uint32_t zone_base;    /* zone offset of the first chunk; page-aligned */
};

/* Result; all arrays malloc'd and owned by it. Chunks as in format/cache.h. */
struct vxt_output {
    uint8_t *code; /* bytes of the zone from zone_base; gaps between chunks are hlt */
    uint32_t code_size;
    struct vxf_chunk *chunks;
    size_t chunk_count;
    struct vxf_entry *entries;
    size_t entry_count;
    struct vxf_row *rows;
    size_t row_count;
    struct vxf_reloc *relocs;
    size_t reloc_count;
    vx_gaddr *pages; /* addresses of the guest pages that hold bytes of what was translated; sorted */
    size_t page_count;
    uint32_t guest_code_bytes, guest_insns;
};

/* VX_OK, VX_ERR_MEMORY or VX_ERR_TOO_LARGE (zone limit). Deterministic. Thread-safe. */
vx_status vxt_translate(const struct vxt_input *input, struct vxt_output *output);
void vxt_output_free(struct vxt_output *output);

struct vxe_elf;
/* Code addresses that an ELF names or may compute: entry, symbols, dynamic symbols, relocations, init arrays,
 * address-like words in data. *seeds is malloc'd, sorted, unique; the caller frees it. */
vx_status vxt_elf_seeds(const struct vxe_elf *elf, vx_gaddr **seeds, size_t *count);

#endif
