/*
 * For the escape tests: a box whose surroundings are watched.
 *
 * Guest memory at both ends of the window (page 1 and the last page) holds a
 * known pattern. Host memory holds SECRET: at the *absolute* addresses that
 * the guest names, below the window's lower guard, in globals and in thread-local
 * storage. After a run no register may hold the secret, and none of it may have changed.
 */
#ifndef TEST_ESCAPE_H
#define TEST_ESCAPE_H

#include <sys/mman.h>
#include <unistd.h>

#include "test_box.h"
#include "vxrt/internal.h"

#define LOW 0x1000u       /* the lowest page that can be mapped */
#define LOW_END 0x2000u
#define TOP 0xfffff000u   /* the highest */
#define PAGE VX_PAGE_BYTES
#define SECRET 0xc5
#define SECRET_WORD 0xc5c5c5c5u
#define CANARIES 4
#define CANARY_BYTES 0x4000u

struct watched {
    struct vx_box *box;
    uint8_t *window;
    uint8_t *canary[CANARIES];
    struct vxi_context before; /* the runtime's own fields, as they must stay */
};

static uint8_t global_canary[64];
static __thread uint8_t tls_canary[64];

static inline uint8_t pattern(uint32_t addr)
{
    return (uint8_t)((addr * 37 + (addr >> 12)) % 191); /* never SECRET */
}

/* Host memory around the box. What the host has in use there already needs no canary. */
static inline void put_canaries(struct watched *w)
{
    uint8_t *const wanted[CANARIES] = {
        (uint8_t *)(uintptr_t)CODE, (uint8_t *)(uintptr_t)DATA, (uint8_t *)(uintptr_t)0xffffe000u,
        w->window - VXI_GUARD_BYTES - CANARY_BYTES,
    };
    for (int i = 0; i < CANARIES; i++) {
        int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
        /* The slack below the guard belongs to the box's own reservation. */
        if (i == CANARIES - 1 && wanted[i] >= (uint8_t *)w->box->reservation)
            flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
        void *at = mmap(wanted[i], CANARY_BYTES, PROT_READ | PROT_WRITE, flags, -1, 0);
        w->canary[i] = at == MAP_FAILED ? NULL : at;
        if (w->canary[i])
            memset(w->canary[i], SECRET, CANARY_BYTES);
    }
    memset(global_canary, SECRET, sizeof global_canary);
    memset(tls_canary, SECRET, sizeof tls_canary);
}

static inline bool is_secret(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != SECRET)
            return false;
    return true;
}

/* The kernel reads the byte, or says that there is nothing to read. */
static inline bool is_readable(const uint8_t *at)
{
    int ends[2];
    if (pipe(ends) != 0)
        return true;
    bool is = write(ends[1], at, 1) == 1;
    close(ends[0]);
    close(ends[1]);
    return is;
}

/* CODE, DATA and STACK as in test_box.h, and both ends of the window. */
static inline struct watched watch(void)
{
    static const uint8_t nothing[1] = { 0xf4 };
    struct watched w = { .box = box_with(nothing, nothing + 1, RX) };
    CU_ASSERT_EQUAL_FATAL(vx_box_map(w.box, LOW, PAGE, RW), VX_OK);
    CU_ASSERT_EQUAL_FATAL(vx_box_map(w.box, TOP, PAGE, RW), VX_OK);
    w.window = w.box->window;
    w.before = *w.box->ctx;
    put_canaries(&w);
    return w;
}

static inline void fill(struct watched *w, uint32_t addr, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        w->window[addr + i] = pattern(addr + i);
}

static inline bool is_filled(const struct watched *w, uint32_t addr, uint32_t size)
{
    for (uint32_t i = 0; i < size; i++)
        if (w->window[addr + i] != pattern(addr + i))
            return false;
    return true;
}

/* Nothing of the host has changed, and the guards are guards. */
static inline void check_host(struct watched *w)
{
    const struct vxi_context *now = w->box->ctx, *before = &w->before;
    for (int i = 0; i < CANARIES; i++)
        CU_ASSERT_TRUE(!w->canary[i] || is_secret(w->canary[i], CANARY_BYTES));
    CU_ASSERT_TRUE(is_secret(global_canary, sizeof global_canary));
    CU_ASSERT_TRUE(is_secret(tls_canary, sizeof tls_canary));
    CU_ASSERT_EQUAL(now->return_stub, before->return_stub);
    CU_ASSERT_EQUAL(now->event_stub, before->event_stub);
    CU_ASSERT_EQUAL(now->miss_stub, before->miss_stub);
    CU_ASSERT_EQUAL(now->window, before->window);
    CU_ASSERT_EQUAL(now->rsp_top, before->rsp_top);
    CU_ASSERT_EQUAL(*(uint64_t *)now->rsp_top, (uint64_t)vxi_stub_underflow);
    CU_ASSERT_TRUE(now->rsp <= now->rsp_top && now->rsp > now->rsp_top - VXI_RETURN_STACK_BYTES);
    for (uint32_t at = 0; at < VXI_GUARD_BYTES; at += PAGE) {
        CU_ASSERT_FALSE(is_readable(w->window - 1 - at));
        CU_ASSERT_FALSE(is_readable(w->window + VXI_WINDOW_BYTES + at));
    }
    CU_ASSERT_FALSE(is_readable(w->window));
}

static inline void unwatch(struct watched *w)
{
    check_host(w);
    vx_box_free(w->box);
    for (int i = 0; i < CANARIES; i++)
        if (w->canary[i])
            munmap(w->canary[i], CANARY_BYTES);
}

/* In hexadecimal, for messages. */
static inline const char *hex(const uint8_t *bytes, size_t size)
{
    static char text[3 * 32 + 1];
    for (size_t i = 0; i < size && i < 32; i++)
        sprintf(text + 3 * i, "%02x ", bytes[i]);
    return text;
}

static inline bool same_registers(const struct vx_regs *a, const struct vx_regs *b)
{
    return memcmp(a, b, offsetof(struct vx_regs, eflags)) == 0 && a->eflags == b->eflags;
}

static inline bool shows_secret(const struct vx_regs *regs)
{
    const uint32_t *words = &regs->eax;
    for (int i = 0; i < 10; i++)
        if (words[i] == SECRET_WORD)
            return true;
    return false;
}

#endif
