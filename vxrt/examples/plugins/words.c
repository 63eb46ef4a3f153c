/*
 * A plug-in in C, with a whole C library: a static program (gcc -m32 -static). It tells the host of each word of a text.
 */
#include <stdlib.h>
#include <string.h>

#include <vx/vx_guest.h>

VX_IMPORT(int, host_word, (void *user, const char *word, unsigned length))

static char *separators;

/* How many words `text` has; `user` is handed back to the host with each. It may end the search by an answer that is not 0. */
VX_EXPORT int each_word(const char *text, unsigned size, void *user)
{
    int count = 0;
    for (unsigned i = 0; i < size;) {
        unsigned from = i;
        while (i < size && !strchr(separators, text[i]))
            i++;
        if (i > from && ++count && host_word(user, text + from, i - from) != 0)
            break;
        i++;
    }
    return count;
}

VX_EXPORT const char *describe(void) { return "words 1.0"; }
VX_EXPORT void spin(void) { for (;;) continue; }

int main(void)
{
    separators = strdup(" \n\t");
    vx_park(); /* prepared: from now on the host calls */
}
