/*
 * Coroutines that switch stacks by hand: the switch pushes the saved registers,
 * exchanges ESP and returns on another stack than it was called on.
 */
#include "guest.h"

enum { COROUTINES = 16, STACK_BYTES = 16384 };

void switch_stack(void **save, void *to);
__asm__(".text\n"
        ".globl switch_stack\n"
        ".type switch_stack, @function\n"
        "switch_stack:\n"
        "  movl 4(%esp), %eax\n"
        "  movl 8(%esp), %ecx\n"
        "  pushl %ebp\n"
        "  pushl %ebx\n"
        "  pushl %esi\n"
        "  pushl %edi\n"
        "  movl %esp, (%eax)\n"
        "  movl %ecx, %esp\n"
        "  popl %edi\n"
        "  popl %esi\n"
        "  popl %ebx\n"
        "  popl %ebp\n"
        "  ret\n"
        ".size switch_stack, .-switch_stack\n");

static void *scheduler, *saved[COROUTINES];
static unsigned current;
static uint32_t mailbox;

static GUEST_NOINLINE void yield(void)
{
    switch_stack(&saved[current], scheduler);
}

/* Yields from the bottom of a recursion, so that its returns cross switches. */
static GUEST_NOINLINE uint32_t walk(unsigned depth, uint32_t value)
{
    if (!depth) {
        mailbox = mailbox * 33 + value;
        yield();
        return mailbox;
    }
    return walk(depth - 1, value * 5 + depth) + depth;
}

static void body(void)
{
    uint32_t own = current + 1;
    for (;;)
        own += walk(own % 12, own);
}

int main(int argc, char **argv)
{
    static _Alignas(16) unsigned char stacks[COROUTINES][STACK_BYTES];
    unsigned count = guest_count(argc, argv, 50000);
    for (unsigned i = 0; i < COROUTINES; i++) {
        void **top = (void **)(void *)(stacks[i] + STACK_BYTES - 64);
        top[0] = top[1] = top[2] = top[3] = NULL;
        top[4] = (void *)body;
        saved[i] = top;
    }
    for (unsigned round = 0; round < count; round++)
        for (current = 0; current < COROUTINES; current++)
            switch_stack(&scheduler, saved[current]);
    return guest_report("coroutine", mailbox);
}
