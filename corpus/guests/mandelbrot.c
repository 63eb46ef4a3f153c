/* Mandelbrot set, double: few memory accesses, many compares of floats. */
#include "guest.h"

static GUEST_NOINLINE unsigned escape(double x0, double y0)
{
    double x = 0, y = 0;
    unsigned steps = 0;
    while (steps < 200 && x * x + y * y < 4.0) {
        double next = x * x - y * y + x0;
        y = 2 * x * y + y0;
        x = next;
        steps++;
    }
    return steps;
}

int main(int argc, char **argv)
{
    unsigned count = guest_count(argc, argv, 12);
    uint32_t sum = GUEST_SUM;
    for (unsigned round = 0; round < count; round++)
        for (int row = 0; row < 96; row++)
            for (int column = 0; column < 128; column++)
                sum = sum * 31 + escape(column / 48.0 - 2.0 + round * 0.001, row / 48.0 - 1.0);
    return guest_report("mandelbrot", sum);
}
