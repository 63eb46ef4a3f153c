/* Maps FILES files executable that look like this program, and are MEGABYTES long: nobody reads all of them. */
#define _GNU_SOURCE
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "held.h"

int main(int argc, char **argv)
{
    static char head[4096];
    const Elf32_Ehdr *elf = (const void *)head;
    const Elf32_Phdr *segment = (const void *)(head + sizeof *elf);
    char name[32];
    int self = open(argv[0], O_RDONLY);
    NEED(self >= 0 && read(self, head, sizeof head) == sizeof head);
    while (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X))
        segment++;
    for (int i = 0; i < atoi(argv[2]); i++) {
        snprintf(name, sizeof name, "/big%d", i);
        int fd = open(name, O_CREAT | O_RDWR | O_LARGEFILE, 0700);
        NEED(fd >= 0 && write(fd, head, sizeof head) == sizeof head);
        NEED(ftruncate64(fd, (long long)atoi(argv[1]) << 20) == 0);
        HELD(mmap(NULL, segment->p_filesz, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, segment->p_offset) != MAP_FAILED);
        close(fd);
    }
    return failures;
}
