/*
 * Types shared by every part of Vx: guest addresses and status codes.
 *
 * A guest address has its own type and never shares a variable with a host
 * pointer. The status list below is the only one: it generates the enum,
 * vx_strerror() and the table in the man page. Numbers are grouped by area
 * and never reused.
 */
#ifndef VX_FORMAT_TYPES_H
#define VX_FORMAT_TYPES_H

#include <stdint.h>

/* A 32-bit address inside a guest's window. */
typedef uint32_t vx_gaddr;

#define VX_PAGE_BYTES 4096u

/* X(name, number, text) */
#define VX_STATUS_LIST(X)                                                     \
    X(VX_OK, 0, "success")                                                    \
    /* 1..19: the caller, the machine */                                      \
    X(VX_ERR_ARGUMENT, 1, "invalid argument")                                 \
    X(VX_ERR_MEMORY, 2, "out of memory")                                      \
    X(VX_ERR_IO, 3, "input/output error")                                     \
    X(VX_ERR_NOT_FOUND, 4, "file not found")                                  \
    X(VX_ERR_ADDRESS_SPACE, 5, "cannot reserve address space for the window") \
    X(VX_ERR_RANGE, 6, "guest address range is not valid")                    \
    X(VX_ERR_CPU, 7, "this machine lacks a CPU feature the code needs")       \
    X(VX_ERR_BUSY, 8, "in use, or past the state in which this can be done")                                   \
    X(VX_ERR_UNSUPPORTED, 9, "not supported by this build")                   \
    X(VX_ERR_TOO_LARGE, 10, "larger than the limit")                          \
    X(VX_ERR_FULL, 11, "no space left")                                       \
    X(VX_ERR_TRAP, 12, "the guest trapped")                                   \
    X(VX_ERR_SIGNATURE, 13, "malformed signature")                            \
    X(VX_ERR_NO_SYMBOL, 14, "no such export")                                 \
    X(VX_ERR_UNWOUND, 15, "left a call but not by returning from it")         \
    /* 20..39: the guest ELF */                                               \
    X(VX_ERR_ELF_MAGIC, 20, "not an ELF file")                                \
    X(VX_ERR_ELF_CLASS, 21, "not a 32-bit little-endian i386 ELF file")       \
    X(VX_ERR_ELF_TYPE, 22, "not an executable or shared object")              \
    X(VX_ERR_ELF_HEADER, 23, "malformed ELF header")                          \
    X(VX_ERR_ELF_SEGMENT, 24, "malformed ELF program header")                 \
    X(VX_ERR_ELF_OVERLAP, 25, "ELF segments overlap")                         \
    X(VX_ERR_ELF_ENTRY, 26, "ELF entry point is outside executable segments") \
    X(VX_ERR_ELF_DYNAMIC, 27, "malformed ELF dynamic section")                \
    X(VX_ERR_ELF_INTERP, 28, "needs a dynamic linker, which is not supported") \
    X(VX_ERR_ELF_RELOC, 29, "relocation that cannot be applied")              \
    X(VX_ERR_IMPORT, 30, "imports are missing")                               \
    /* 40..69: the .vxc file */                                               \
    X(VX_ERR_VXC_MAGIC, 40, "not a .vxc file")                                \
    X(VX_ERR_VXC_VERSION, 41, "unknown .vxc format version")                  \
    X(VX_ERR_VXC_TRUNCATED, 42, "file is truncated")                          \
    X(VX_ERR_VXC_HASH, 43, "file hash does not match its contents")           \
    X(VX_ERR_VXC_HEADER, 44, "malformed header")                              \
    X(VX_ERR_VXC_RESERVED, 45, "reserved bits are not zero")                  \
    X(VX_ERR_VXC_SECTION, 46, "malformed section table")                      \
    X(VX_ERR_VXC_SECTION_HASH, 47, "section hash does not match")             \
    X(VX_ERR_VXC_INFLATE, 48, "compressed data is damaged")                   \
    X(VX_ERR_VXC_LIMIT, 49, "a size exceeds the format's limit")              \
    X(VX_ERR_VXC_CHUNK, 50, "malformed chunk table")                          \
    X(VX_ERR_VXC_ENTRY, 51, "malformed entry map")                            \
    X(VX_ERR_VXC_FAULTMAP, 52, "malformed fault map")                         \
    X(VX_ERR_VXC_RELOC, 53, "malformed relocation")                           \
    X(VX_ERR_VXC_CONTRACT, 54, "made for another sandbox contract")           \
    X(VX_ERR_VXC_GUEST, 55, "made for another guest")                         \
    X(VX_ERR_VXC_NO_GUEST, 56, "detached cache: the guest file is needed")    \
    X(VX_ERR_VXC_STALE, 57, "made by another translator or with other options") \
    X(VX_ERR_VXC_META, 58, "malformed metadata")                              \
    X(VX_ERR_VXC_PAGES, 59, "malformed guest page table")                     \
    X(VX_ERR_VXC_CPU, 60, "made for another virtual CPU")                     \
    /* 70..79: verdicts */                                                    \
    X(VX_ERR_REJECTED, 70, "rejected by the verifier")                        \
    X(VX_ERR_MISMATCH, 71, "code differs from a fresh translation")           \
    X(VX_ERR_TRANSLATE, 72, "cannot translate")

#define VX_STATUS_ENUM(name, number, text) name = number,
typedef enum vx_status { VX_STATUS_LIST(VX_STATUS_ENUM) } vx_status;
#undef VX_STATUS_ENUM

#ifdef __cplusplus
extern "C"
#endif
/* One sentence for a status. Never NULL; the string is static. Thread-safe. */
const char *vx_strerror(vx_status status);

/*
 * Where and why something was refused. Filled by functions that take one;
 * `offset` is a file offset (readers), or a guest address (loaders), as
 * the function says. `text` is a short cause, never a host address.
 */
struct vx_error {
    vx_status status;
    uint64_t offset;
    char text[112];
};

#endif
