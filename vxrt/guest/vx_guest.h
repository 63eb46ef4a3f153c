/*
 * For authors of plug-ins, in C and C++. Not needed: a shared object exports and imports
 * as any other. What it adds is imports for static executables, which cannot leave a symbol undefined.
 *
 *     VX_EXPORT int decode(const char *from, int size) { ... }
 *
 *     VX_IMPORT(void, host_log, (const char *text));     one per program, at file scope
 *     ... host_log("ready"); ...
 *
 * docs/abi.md says what a plug-in finds when it runs.
 */
#ifndef VX_GUEST_H
#define VX_GUEST_H

#ifdef __cplusplus
#define VX_C extern "C"
#else
#define VX_C
#endif

/* In front of a definition: the host finds it by name (in C++: by its C name). */
#define VX_EXPORT VX_C __attribute__((visibility("default"), used))

/*
 * Declares `name`, to be called like a function of this type. It is a pointer that linking fills: once it is
 * not null, the host has such a function.
 */
#define VX_IMPORT(type, name, parameters)                                                          \
    VX_C __attribute__((visibility("default"), used, section(".data"))) type(*volatile name) parameters __asm__("__vx_import_" #name); \
    type(*volatile name) parameters = 0

/* An executable, once it is initialised: the host may now call its exports. Does not return. */
static inline void vx_park(void)
{
    for (;;)
        __asm__ volatile("int $0x80" : : "a"(0x56580001) : "memory");
}

#endif
