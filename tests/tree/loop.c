/* A guest of tests/tree_test.py that runs a while, in libraries too: starts that are killed, and shared directories. */
#include <math.h>
#include <stdio.h>
int plug(int);
int main(void)
{
    double sum = 0;
    for (int i = 0; i < 20000; i++)
        sum += sqrt(i) * cos(i) + plug(i) % 3;
    printf("%.6f\n", sum);
    return 0;
}
