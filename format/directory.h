/*
 * A cache directory: the caches of many guest files, found by what a file holds.
 *
 *     HASH.vxc          the cache of the guest file with that XXH3-128 (32 digits)
 *     by-file/ID        symbolic link to ../HASH.vxc. ID is device, inode, size, and the times
 *                       of last modification and change, in hexadecimal: the hash of a file that was
 *                       hashed once is known from its ID, as long as it does not change.
 *     HASH.profile      paths that a run found (vxrun --cache-write)
 *
 * Any number of processes may use and write one directory. Safety does not
 * depend on anything in it: caches are verified when they are loaded.
 */
#ifndef VX_FORMAT_DIRECTORY_H
#define VX_FORMAT_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "format/types.h"

#define VXF_DIRECTORY_NAME_BYTES 64

/* Open a cache directory, after making it if `create` (its parent too). Descriptor, owned by the caller, or -1 and errno. */
int vxf_directory_open(const char *path, bool create);

/* "HASH" + suffix. */
void vxf_directory_name(const uint64_t hash[2], const char *suffix, char name[VXF_DIRECTORY_NAME_BYTES]);

/*
 * Hash a regular file of at most VXF_GUEST_LIMIT bytes, opened for reading. *st is its state then. VX_ERR_IO also for
 * a file that changes meanwhile.
 */
vx_status vxf_directory_hash(int fd, uint64_t hash[2], struct stat *st);

/*
 * Open the cache of a guest file: by its ID, else by its contents if it has at most 128 MiB, and then the ID is noted for
 * the next time if the directory can be written. Descriptor, owned by the caller; -1: there is none.
 */
int vxf_directory_find(int directory, int fd);

/* Note the hash of the file with state *st. Not while the file is younger than its time stamps can tell. */
void vxf_directory_note(int directory, const struct stat *st, const uint64_t hash[2]);

#endif
