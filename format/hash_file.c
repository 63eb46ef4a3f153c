/*
 * The hash of a file's content, a block at a time: a file may be larger than what its reader wants to spend on it.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <xxhash.h>

#include "format/cache.h"

#define BLOCK_BYTES (256u << 10)

static vx_status add_blocks(XXH3_state_t *state, uint8_t *block, int fd, uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        ssize_t got = pread(fd, block, size - done < BLOCK_BYTES ? size - done : BLOCK_BYTES, (off_t)done);
        if (got == 0 || (got < 0 && errno != EINTR))
            return VX_ERR_IO;
        if (got > 0)
            XXH3_128bits_update(state, block, (size_t)got);
        done += got > 0 ? (uint64_t)got : 0;
    }
    return VX_OK;
}

vx_status vxf_hash128_file(int fd, uint64_t size, uint64_t out[2])
{
    XXH3_state_t *state = XXH3_createState();
    uint8_t *block = malloc(BLOCK_BYTES);
    vx_status status = VX_ERR_MEMORY;
    if (state && block) {
        XXH3_128bits_reset(state);
        status = add_blocks(state, block, fd, size);
        XXH128_hash_t hash = XXH3_128bits_digest(state);
        out[0] = hash.low64;
        out[1] = hash.high64;
    }
    free(block);
    XXH3_freeState(state);
    return status;
}
