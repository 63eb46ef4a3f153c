/*
 * A plug-in: a one-pole low-pass filter over blocks of samples. Built as any shared object is:
 *     gcc -m32 -O2 -shared -fPIC -nostdlib lowpass.c -o lowpass.so
 */
void host_log(const char *text);

#define BLOCK 256
float block[BLOCK]; /* the host puts samples here */
static float state, weight;

void configure(double cutoff, double rate)
{
    weight = (float)(cutoff / (cutoff + rate / 6.283185307));
    state = 0;
    host_log("configured");
}

/* Filters `count` samples in place; the loudest of them. */
float process(int count)
{
    float peak = 0;
    for (int i = 0; i < count && i < BLOCK; i++) {
        state += weight * (block[i] - state);
        block[i] = state;
        float size = state < 0 ? -state : state;
        peak = size > peak ? size : peak;
    }
    return peak;
}
