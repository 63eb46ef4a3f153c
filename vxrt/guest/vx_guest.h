/*
 * For authors of plug-ins, in C and C++. A shared object does not need it: it exports and imports as any other.
 * A static executable cannot leave a symbol undefined, and has to say when it is ready; that is what this is for.
 *
 *     #include <vx/vx_guest.h>
 *
 *     VX_IMPORT(void, host_log, (const char *text))      at file scope, once in a program
 *
 *     VX_EXPORT int decode(const char *from, int size)
 *     {
 *         host_log("decoding");                          calls the host
 *         ...
 *     }
 *
 *     int main(void)
 *     {
 *         ...                                            whatever it has to prepare
 *         vx_park();                                     from now on the host calls decode
 *     }
 *
 * docs/abi.md says what a plug-in finds when it runs.
 */
#ifndef VX_GUEST_H
#define VX_GUEST_H

#ifdef __cplusplus
#define VX_C_BEGIN extern "C" {
#define VX_C_END }
#define VX_EXPORT extern "C" __attribute__((visibility("default"), used))
#else
#define VX_C_BEGIN
#define VX_C_END
/* In front of a definition: the host finds it by name. In C++ the name is that of C. */
#define VX_EXPORT __attribute__((visibility("default"), used))
#endif

/*
 * Defines `name`, to be called like a function of that type: a pointer that linking fills. It is null where the
 * program runs without a host.
 */
#define VX_IMPORT(type, name, parameters)                                                                   \
    VX_C_BEGIN                                                                                              \
    extern type(*volatile name) parameters __asm__("__vx_import_" #name);                                   \
    __attribute__((visibility("default"), used, section(".data"))) type(*volatile name) parameters = 0;     \
    VX_C_END

/* In main, once everything is prepared. Does not return; what main has on its stack stays. Where there is no host it is SIGILL. */
__attribute__((noreturn)) static inline void vx_park(void)
{
    __asm__ volatile("int $0x80" : : "a"(0x56580001) : "memory");
    __builtin_trap(); /* there is no host: it was run as a program */
}

#endif
