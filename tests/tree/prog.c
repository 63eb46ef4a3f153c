/*
 * The dynamically linked guest of tests/tree_test.py: libraries at start and by dlopen, TLS, code
 * that is unmapped and rewritten. The output is compared with a native run.
 */
#include <dlfcn.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern int plug_count;
int plug(int);
static __thread int local = 5;

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void many_opens(const char *name)
{
    int sum = 0;
    for (int i = 0; i < 20; i++) {
        void *handle = dlopen(name, RTLD_NOW);
        if (!handle) {
            printf("dlopen: %s\n", dlerror());
            return;
        }
        int (*extra)(int) = (int (*)(int))dlsym(handle, "extra");
        sum += extra(i);
        dlclose(handle);
    }
    printf("opened and closed: %d\n", sum);
}

/* The code of a library is private to a process that rewrites it. */
static void rewrite(void)
{
    static const uint8_t patch[] = {0xb8, 77, 0, 0, 0, 0xc3}; /* mov $77,%eax; ret */
    uintptr_t page = (uintptr_t)plug & ~4095u;
    printf("before %d", plug(1));
    if (mprotect((void *)page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC)) {
        printf(" cannot: %s\n", strerror(errno));
        return;
    }
    memcpy((void *)(uintptr_t)plug, patch, sizeof patch);
    printf(" after %d\n", plug(1));
}

int main(int argc, char **argv)
{
    int numbers[] = {5, 3, 9, 1, 7};
    printf("%s %d %s\n", argv[0], argc, argc > 2 ? argv[2] : "");
    printf("plug %d %d, sin %.15f, tls %d\n", plug(20), plug_count, sin(argc), local++);
    qsort(numbers, 5, sizeof *numbers, compare);
    printf("%d %d %d\n", numbers[0], numbers[2], numbers[4]);
    many_opens(argv[1]);
    rewrite();
    fflush(stdout);
    return 3;
}
