/* Product of double matrices; compiled for x87 and for SSE2. */
#include "guest.h"

enum { N = 64 };

static double a[N][N], b[N][N], c[N][N];

static GUEST_NOINLINE void multiply(void)
{
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double total = 0;
            for (int k = 0; k < N; k++)
                total += a[i][k] * b[k][j];
            c[i][j] = total;
        }
}

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 80);
    uint32_t seed = 31, sum = GUEST_SUM;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            a[i][j] = (double)(guest_random(&seed) >> 8) / (1 << 24);
            b[i][j] = (double)(guest_random(&seed) >> 8) / (1 << 25);
        }
    for (unsigned round = 0; round < count; round++) {
        multiply();
        for (int i = 0; i < N; i++)
            a[round % N][i] = c[i][round % N] / N;
        sum = guest_sum(sum, c, sizeof c);
    }
    printf("%.12g\n", c[3][5]);
    return guest_report("matrix", sum);
}
