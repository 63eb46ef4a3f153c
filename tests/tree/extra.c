/* A library that tests/tree/prog.c opens and closes. */
static int calls;
int extra(int x) { return x * 3 + ++calls; }
