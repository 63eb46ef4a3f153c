/* A library of tests/tree/prog.c. */
int plug_count = 40;
static int (*const table[3])(int);
static int twice(int x) { return 2 * x; }
static int square(int x) { return x * x; }
static int negative(int x) { return -x; }
static int (*const table[3])(int) = {twice, square, negative};
int plug(int x) { return table[x % 3](x) + plug_count++; }
