/*
 * What calls_bench calls: the same source as an i386 plug-in, and as a native shared object.
 */
#ifdef NATIVE
int (*host_add_slot)(int, int);
#define host_add host_add_slot
#else
int host_add(int a, int b);
#endif

int add(int a, int b) { return a + b; }
double addd(double a, double b) { return a + b; }

int call_often(int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum = host_add(sum, i);
    return sum;
}
