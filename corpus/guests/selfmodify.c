/*
 * Code that writes code: a page that is writable and executable at once, a
 * function in it rewritten and called again; then a page that is written,
 * made executable, run, made writable and changed; then bytes that
 * the running code itself changes just ahead of where it runs.
 */
#include "guest.h"
#include <sys/mman.h>

typedef uint32_t (*function)(uint32_t);

enum { PAGE = 4096 };

/* mov eax,[esp+4]; add eax,value; xor/sub eax,other; ret */
static unsigned char *put_function(unsigned char *at, uint32_t value, uint32_t other, int is_xor)
{
    static const unsigned char load[] = {0x8b, 0x44, 0x24, 0x04};
    memcpy(at, load, sizeof load);
    at += sizeof load;
    *at++ = 0x05;
    memcpy(at, &value, 4);
    at += 4;
    *at++ = is_xor ? 0x35 : 0x2d;
    memcpy(at, &other, 4);
    at += 4;
    *at++ = 0xc3;
    return at;
}

/* mov byte [next],value; jmp over nothing; next: mov al,0 -> value; movzx; ret */
static void put_patcher(unsigned char *at, unsigned char value)
{
    unsigned char code[] = {0xc6, 0x05, 0, 0, 0, 0, value, 0xeb, 0x00,
                            0xb0, 0x00, 0x0f, 0xb6, 0xc0, 0xc3};
    uint32_t target = (uint32_t)(uintptr_t)(at + 10);
    memcpy(code + 2, &target, 4);
    memcpy(at, code, sizeof code);
}

static void *page(int protection)
{
    void *at = mmap(NULL, PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    guest_need(at != MAP_FAILED, "mmap");
    return at;
}

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 300);
    unsigned char *both = page(PROT_READ | PROT_WRITE | PROT_EXEC);
    unsigned char *turns = page(PROT_READ | PROT_WRITE);
    uint32_t sum = GUEST_SUM;
    for (unsigned round = 0; round < count; round++) {
        function run;
        put_function(both + round % 7 * 32, round * 3, round ^ 0xabc, round & 1);
        run = (function)(uintptr_t)(both + round % 7 * 32);
        for (uint32_t i = 0; i < 50; i++)
            sum = sum * 31 + run(i);

        guest_need(!mprotect(turns, PAGE, PROT_READ | PROT_WRITE), "mprotect to write");
        put_function(turns, round, sum, !(round & 1));
        guest_need(!mprotect(turns, PAGE, PROT_READ | PROT_EXEC), "mprotect to run");
        run = (function)(uintptr_t)turns;
        for (uint32_t i = 0; i < 50; i++)
            sum = sum * 31 + run(i);

        put_patcher(both + 1024, (unsigned char)(round * 7));
        run = (function)(uintptr_t)(both + 1024);
        sum = sum * 31 + run(0);
        put_patcher(both + 1024, (unsigned char)(round * 11));
        sum = sum * 31 + run(0);
    }
    return guest_report("selfmodify", sum);
}
