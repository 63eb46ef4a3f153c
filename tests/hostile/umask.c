/* The mask that a guest sets is its own: files that vxrun writes afterwards do not have it. */
#include <stdlib.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
    umask(strtol(argv[1], NULL, 8));
    return 0;
}
