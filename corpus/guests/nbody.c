/* Planets around a sun, in double: sqrt, divisions, dependent chains. */
#include "guest.h"
#include <math.h>

enum { BODIES = 5 };

static double at[BODIES][3], speed[BODIES][3], mass[BODIES];

static GUEST_NOINLINE void advance(double step)
{
    for (int i = 0; i < BODIES; i++)
        for (int j = i + 1; j < BODIES; j++) {
            double d[3], square = 0.01;
            for (int k = 0; k < 3; k++) {
                d[k] = at[i][k] - at[j][k];
                square += d[k] * d[k];
            }
            double pull = step / (square * sqrt(square));
            for (int k = 0; k < 3; k++) {
                speed[i][k] -= d[k] * mass[j] * pull;
                speed[j][k] += d[k] * mass[i] * pull;
            }
        }
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            at[i][k] += step * speed[i][k];
}

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 80);
    uint32_t seed = 7, sum = GUEST_SUM;
    for (int i = 0; i < BODIES; i++) {
        mass[i] = i ? 0.001 * i : 40.0;
        for (int k = 0; k < 3; k++) {
            at[i][k] = i * ((double)(guest_random(&seed) >> 16) / 6000.0 - 5.0);
            speed[i][k] = i ? (double)(guest_random(&seed) >> 16) / 40000.0 - 0.8 : 0;
        }
    }
    for (unsigned round = 0; round < count; round++) {
        for (int i = 0; i < 2000; i++)
            advance(0.001);
        sum = guest_sum(sum, at, sizeof at);
    }
    printf("%.9f %.9f\n", at[1][0], sin(at[2][1]) + exp(at[3][2] / 100));
    return guest_report("nbody", sum);
}
