/*
 * The embedding example does what it says: a small ELF guest greets and exits.
 */
#include <CUnit/Basic.h>
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_box.h"

#define main embed_main
int embed_main(int argc, char **argv);
#include "../vxrt/examples/embed.c"
#undef main

GUEST(hello, "movl $4, %eax\n movl $1, %ebx\n movl $1f-guest_hello+0x8048100, %ecx\n movl $6, %edx\n int $0x80\n"
             "movl $20, %eax\n int $0x80\n cmpl $-38, %eax\n jne 2f\n"
             "movl $1, %eax\n movl $42, %ebx\n int $0x80\n 2: hlt\n 1: .ascii \"hello\\n\"\n");

static void write_guest(const char *path)
{
    uint8_t bytes[0x200] = { 0 };
    Elf32_Ehdr header = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
                          .e_type = ET_EXEC, .e_machine = EM_386, .e_version = 1, .e_entry = 0x8048100,
                          .e_phoff = sizeof header, .e_ehsize = sizeof header,
                          .e_phentsize = sizeof(Elf32_Phdr), .e_phnum = 1 };
    Elf32_Phdr segment = { .p_type = PT_LOAD, .p_vaddr = 0x8048000, .p_filesz = sizeof bytes,
                           .p_memsz = sizeof bytes, .p_flags = PF_R | PF_X, .p_align = 0x1000 };
    memcpy(bytes, &header, sizeof header);
    memcpy(bytes + sizeof header, &segment, sizeof segment);
    memcpy(bytes + 0x100, guest_hello, (size_t)(guest_hello_end - guest_hello));
    FILE *file = fopen(path, "wb");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    CU_ASSERT_EQUAL(fwrite(bytes, 1, sizeof bytes, file), sizeof bytes);
    fclose(file);
}

static int run_embed(char *path, char *text, size_t size)
{
    int ends[2], status = 0;
    char name[] = "embed", *argv[] = { name, path, NULL };
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(STDERR_FILENO);
        _exit(embed_main(2, argv));
    }
    close(ends[1]);
    ssize_t n = read(ends[0], text, size - 1);
    text[n > 0 ? n : 0] = 0;
    close(ends[0]);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_embed(void)
{
    char path[64], text[64], missing[] = "/nonexistent/guest";
    snprintf(path, sizeof path, "/tmp/vx-embed-%d", (int)getpid());
    write_guest(path);
    CU_ASSERT_EQUAL(run_embed(path, text, sizeof text), 42);
    CU_ASSERT_STRING_EQUAL(text, "hello\n");
    unlink(path);
    CU_ASSERT_EQUAL(run_embed(missing, text, sizeof text), 125);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("embedding example", NULL, NULL);
    CU_add_test(suite, "hello", test_embed);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failed = CU_get_number_of_failures() + (CU_get_number_of_tests_run() == 0);
    CU_cleanup_registry();
    return failed != 0;
}
