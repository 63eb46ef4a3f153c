/*
 * The golden files of the verifier: tests/golden/verifier/V*.s, see README there.
 * llvm-mc assembles each file, a section per case; the verdict must be exactly
 * the one the file names. Every rule has at least one accepted case and three
 * rejected ones. Without llvm-mc nothing is tested and the program says so.
 *
 *     test_verifier_golden [DIRECTORY]   keeps the assembled files there and uses those that are there already
 */
#include <CUnit/Basic.h>
#include <elf.h>
#include <glob.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "verifier/verifier.h"

#define ZONE 4096u
#define MAX_CASES 128
#define MAX_RULES 32

struct golden {
    uint32_t line, rule, offset;
    uint64_t entries[ZONE / 64];
};

static uint32_t accepts[MAX_RULES], rejects[MAX_RULES], total;
static char assembler[32];
static const char *kept; /* directory for objects, or NULL */

static bool find_assembler(void)
{
    static const char *const names[] = {"llvm-mc", "llvm-mc-14", "llvm-mc-15", "llvm-mc-16", "llvm-mc-19"};
    size_t i;
    char command[96];

    for (i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(command, sizeof command, "%s --version >/dev/null 2>&1", names[i]);
        if (system(command) == 0) {
            snprintf(assembler, sizeof assembler, "%s", names[i]);
            return true;
        }
    }
    return false;
}

static void parse_directive(const char *text, uint32_t line, struct golden *g)
{
    const char *entry = text;
    unsigned rule, offset;

    memset(g, 0, sizeof *g);
    g->line = line;
    if (sscanf(text, " reject V%u at %i", &rule, (int *)&offset) == 2) {
        g->rule = rule;
        g->offset = offset;
    } else {
        CU_ASSERT(strncmp(text, " accept", 7) == 0);
    }
    while ((entry = strstr(entry, "entry "))) {
        unsigned at = (unsigned)strtoul(entry += 6, NULL, 0);
        g->entries[at / 64] |= 1ull << (at & 63);
    }
}

/* The .s file with a section for each case; the number of cases. */
static uint32_t split(const char *path, const char *out_path, struct golden *cases)
{
    FILE *in = fopen(path, "r"), *out = fopen(out_path, "w");
    char text[256];
    uint32_t count = 0, line = 0;

    while (in && out && fgets(text, sizeof text, in)) {
        line++;
        if (strncmp(text, "#:", 2) == 0 && count < MAX_CASES) {
            parse_directive(text + 2, line, &cases[count]);
            fprintf(out, ".section .case%u,\"ax\",@progbits\n", count++);
        }
        fputs(text, out);
    }
    if (in)
        fclose(in);
    if (out)
        fclose(out);
    return count;
}

static uint8_t *read_all(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    uint8_t *bytes = malloc(1 << 20);

    *size = in && bytes ? fread(bytes, 1, 1 << 20, in) : 0;
    if (in)
        fclose(in);
    return bytes;
}

/* The section of that name in the assembler's own output, NULL if there is none. */
static const Elf64_Shdr *section(const uint8_t *elf, const char *name)
{
    const Elf64_Ehdr *header = (const void *)elf;
    const Elf64_Shdr *sections = (const void *)(elf + header->e_shoff);
    const char *names = (const char *)elf + sections[header->e_shstrndx].sh_offset;
    uint32_t i;

    for (i = 0; i < header->e_shnum; i++)
        if (strcmp(names + sections[i].sh_name, name) == 0)
            return &sections[i];
    return NULL;
}

static void check_case(const char *path, const struct golden *g, const uint8_t *code, uint32_t size)
{
    uint64_t boundaries[ZONE / 64], targets[ZONE / 64];
    struct vxv_input input = {.code = code, .size = size, .zone_size = ZONE, .entries = g->entries};
    struct vxv_result result;
    bool accepted = vxv_verify(&input, boundaries, targets, &result);

    total++;
    if (result.rule != g->rule || result.offset != (g->rule ? g->offset : size) || accepted != (g->rule == 0)) {
        printf("\n  %s:%u: expected V%02u at %u, got V%02u at %u", strrchr(path, '/') + 1, g->line, g->rule,
               g->offset, result.rule, result.offset);
        CU_FAIL("verdict");
    }
}

static void check_file(const char *path)
{
    static struct golden cases[MAX_CASES];
    char source[64], object[256], command[512], name[32];
    uint32_t i, count, about;
    uint8_t *elf;
    size_t elf_size;

    snprintf(source, sizeof source, "/tmp/vx-golden-%d.s", (int)getpid());
    snprintf(object, sizeof object, "/tmp/vx-golden-%d.o", (int)getpid());
    if (kept)
        snprintf(object, sizeof object, "%s/%s.o", kept, strrchr(path, '/') + 1);
    count = split(path, source, cases);
    about = (uint32_t)strtoul(strrchr(path, '/') + 2, NULL, 10);
    CU_ASSERT_FATAL(assembler[0] || (kept && access(object, R_OK) == 0) || find_assembler());
    snprintf(command, sizeof command, "%s -triple=x86_64 -filetype=obj -o %s %s", assembler, object, source);
    if (!kept || access(object, R_OK) != 0) {
        CU_ASSERT_FATAL(system(command) == 0);
    }
    elf = read_all(object, &elf_size);
    CU_ASSERT_FATAL(elf_size > sizeof(Elf64_Ehdr) && about < MAX_RULES);
    for (i = 0; i < count; i++) {
        const Elf64_Shdr *code;
        snprintf(name, sizeof name, ".rela.case%u", i);
        CU_ASSERT_PTR_NULL(section(elf, name)); /* a label that is not in the case */
        code = section(elf, name + 5);
        CU_ASSERT_PTR_NOT_NULL_FATAL(code);
        check_case(path, &cases[i], elf + code->sh_offset, (uint32_t)code->sh_size);
        if (cases[i].rule == 0)
            accepts[about]++;
        else
            rejects[cases[i].rule]++;
    }
    free(elf);
    unlink(source);
    if (!kept)
        unlink(object);
}

static void test_files(void)
{
    glob_t files;
    size_t i;
    uint32_t rule;

    CU_ASSERT_FATAL(glob(SOURCE_DIR "/tests/golden/verifier/V*.s", 0, NULL, &files) == 0);
    for (i = 0; i < files.gl_pathc; i++)
        check_file(files.gl_pathv[i]);
    globfree(&files);
    for (rule = 2; strcmp(vxv_rule_text(rule), "unknown rule") != 0; rule++) {
        CU_ASSERT(accepts[rule] >= 1);
        CU_ASSERT(rejects[rule] >= 3);
    }
    printf(" %u cases ", total);
}

int main(int argc, char **argv)
{
    CU_pSuite suite;
    unsigned failed;

    kept = argc == 2 ? argv[1] : NULL;
    if (!kept && !find_assembler()) {
        puts("skipped: llvm-mc is not installed");
        return 0;
    }
    CU_initialize_registry();
    suite = CU_add_suite("verifier_golden", NULL, NULL);
    CU_add_test(suite, "golden files", test_files);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    failed = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failed != 0;
}
