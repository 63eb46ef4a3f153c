/*
 * The ELF reader: any bytes give an error with a text, or segments, symbols and relocations inside the file.
 */
#include "format/elf32.h"
#include "tests/fuzz/fuzz.h"
#include "vxc/translate/translate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = exact_copy(data, size);
    struct vxe_elf elf;
    struct vx_error error = { 0 };
    vx_status status = vxe_open(copy, size, &elf, &error);
    if (status != VX_OK) {
        PROMISE(error.status == status && error.text[0]);
        free(copy);
        return 0;
    }
    for (size_t i = 0; i < elf.segment_count; i++) {
        const struct vxe_segment *segment = &elf.segments[i];
        PROMISE((uint64_t)segment->file_offset + segment->file_size <= size);
        PROMISE(segment->file_size <= segment->mem_size);
        uint32_t available;
        const uint8_t *bytes = vxe_at(&elf, segment->addr, &available);
        if (bytes)
            PROMISE(bytes >= copy && available <= size && (size_t)(bytes - copy) <= size - available);
    }
    vx_gaddr *seeds = NULL;
    size_t count = 0;
    if (vxt_elf_seeds(&elf, &seeds, &count) == VX_OK)
        for (size_t i = 1; i < count; i++)
            PROMISE(seeds[i] > seeds[i - 1]);
    free(seeds);
    free(copy);
    return 0;
}
