/*
 * Runs a fuzz target without libFuzzer:
 *     fuzz_X [--runs N] [--seed S|fresh] FILE|DIRECTORY...
 * first on every file, then on N inputs that are made from them by changing, inserting, removing and splicing bytes. The same
 * seed gives the same inputs; a fresh one, which nobody has chosen, is printed. Says which input is at work if the target crashes. Exit status: 0, or the signal's.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

#define MAX_FILES 4096
#define LARGEST_INPUT (64u << 10)

static struct { uint8_t *bytes; size_t size; } files[MAX_FILES];
static size_t file_count;
static uint8_t input[LARGEST_INPUT];
static size_t input_size;
static uint64_t state;

static uint32_t below(uint32_t limit)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return limit ? (uint32_t)(state >> 32) % limit : 0;
}

/* What crashed, for replay: the target has no chance to say it. */
static void on_crash(int number)
{
    FILE *out = fopen("crash-input", "wb");
    if (out) {
        fwrite(input, 1, input_size, out);
        fclose(out);
    }
    fputs("the input is in crash-input\n", stderr);
    signal(number, SIG_DFL);
    raise(number);
}

static void add_file(const char *path)
{
    FILE *in = fopen(path, "rb");
    if (!in || file_count == MAX_FILES) {
        fprintf(stderr, "%s: %s\n", path, in ? "too many files" : strerror(errno));
        exit(2);
    }
    uint8_t *bytes = malloc(LARGEST_INPUT);
    if (!bytes)
        exit(2);
    files[file_count].size = fread(bytes, 1, LARGEST_INPUT, in);
    files[file_count++].bytes = bytes;
    fclose(in);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void add(const char *path)
{
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) {
        add_file(path);
        return;
    }
    struct dirent **names;
    int count = scandir(path, &names, NULL, by_name);
    for (int i = 0; i < count; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            add_file(file);
        free(names[i]);
    }
    free(names);
}

static void change(void)
{
    uint32_t at = below((uint32_t)input_size), length = below(8) + 1;
    const uint8_t *other = files[below((uint32_t)file_count)].bytes;
    if (length > input_size - at)
        length = (uint32_t)(input_size - at);
    switch (below(6)) {
    case 0: input[at] ^= (uint8_t)(1u << below(8)); break;
    case 1: input[at] = (uint8_t)below(256); break;
    case 2: /* remove */
        memmove(input + at, input + at + length, input_size - at - length);
        input_size -= length;
        break;
    case 3: /* insert */
        if (input_size + length <= LARGEST_INPUT) {
            memmove(input + at + length, input + at, input_size - at);
            input_size += length;
        }
        break;
    case 4: /* splice */
        memcpy(input + at, other + at, length);
        break;
    default:
        for (uint32_t i = 0; i < length; i++)
            input[at + i] = (uint8_t)(below(2) ? 0xff : 0);
    }
}

static void make_input(void)
{
    size_t from = below((uint32_t)file_count);
    input_size = files[from].size;
    memcpy(input, files[from].bytes, input_size);
    for (uint32_t i = below(8) + 1; i > 0 && input_size > 0; i--)
        change();
}

static unsigned long seed_of(const char *text)
{
    uint32_t seed = 0;
    if (strcmp(text, "fresh") != 0)
        return strtoul(text, NULL, 10);
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        exit(2);
    printf("again with: --seed %u\n", seed);
    fflush(stdout);
    return seed;
}

int main(int argc, char **argv)
{
    unsigned long runs = 0;
    state = 1;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc)
            runs = strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            state = seed_of(argv[++i]) * 2 + 1;
        else
            add(argv[i]);
    }
    if (file_count == 0) {
        fputs("usage: fuzz_X [--runs N] [--seed S] FILE|DIRECTORY...\n", stderr);
        return 2;
    }
    signal(SIGABRT, on_crash);
    for (size_t i = 0; i < file_count; i++) {
        input_size = files[i].size;
        memcpy(input, files[i].bytes, input_size);
        LLVMFuzzerTestOneInput(files[i].bytes, files[i].size);
    }
    for (unsigned long i = 0; i < runs; i++) {
        make_input();
        uint8_t *copy = exact_copy(input, input_size);
        LLVMFuzzerTestOneInput(copy, input_size);
        free(copy);
    }
    printf("%zu files, %lu inputs made from them\n", file_count, runs);
    return 0;
}
