/*
 * Exports and imports of a plug-in, linking and its errors, starting; and 10,000 random signatures in both
 * directions, against the same mix computed here.
 */
#include <CUnit/Basic.h>
#include <stdlib.h>

#include "test_call.h"

#define SIGNATURES 10000
#define IMPORT_SLOTS 10

static uint64_t seed = 88172645463325252u;

static uint64_t random_u64(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

/* ---- random signatures ---- */

/* As mix() in plugin/calls.c. */
static uint64_t mix(const char *kinds, const union vx_value *args)
{
    uint64_t hash = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; kinds[i]; i++) {
        uint64_t value = kinds[i] == 'l' || kinds[i] == 'd' ? args[i].u64 : args[i].u32;
        hash = (hash ^ value ^ (uint64_t)kinds[i] << 56) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 29;
    }
    return hash;
}

/* The result of kind `result` that plugin/calls.c makes of a hash. */
static union vx_value fold(char result, uint64_t hash)
{
    union vx_value value = { .u64 = 0 };
    switch (result) {
    case 'i': value.u32 = (uint32_t)hash; break;
    case 'l': value.u64 = hash; break;
    case 'f': value.f32 = (float)(int32_t)hash * 0.25f; break;
    case 'd': value.f64 = (double)(int64_t)hash * 0.5; break;
    case 'p': value.ptr = (uint32_t)(hash >> 7); break;
    default: break;
    }
    return value;
}

/* Letters of up to `most` arguments, and values for them. Floats are numbers: a NaN may not keep its bits. */
static size_t random_arguments(char *kinds, union vx_value *args, size_t most)
{
    size_t count = random_u64() % (most + 1);
    for (size_t i = 0; i < count; i++) {
        kinds[i] = "ilfdp"[random_u64() % 5];
        args[i].u64 = random_u64();
        if (kinds[i] == 'f')
            args[i] = (union vx_value){ .f32 = (float)(int32_t)random_u64() * 0.125f };
        else if (kinds[i] == 'd')
            args[i].f64 = (double)(int64_t)random_u64() * 0.0625;
    }
    kinds[count] = '\0';
    return count;
}

static bool is_equal(char kind, union vx_value a, union vx_value b)
{
    switch (kind) {
    case 'l': case 'd': return a.u64 == b.u64;
    case 'v': return true;
    default: return a.u32 == b.u32;
    }
}

static void test_random_calls(void)
{
    struct vx_image *image = plugin_image(PLUGIN("calls.so"), NULL, 0);
    struct vx_box *box = plugin_box(image);
    struct vx_trap trap;
    vx_gaddr last, text = 0x10000;
    unsigned wrong = 0;
    CU_ASSERT_EQUAL(vx_image_export(image, "mix_last", &last), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map(box, text, 4096, VX_PROT_READ | VX_PROT_WRITE), VX_OK);
    for (unsigned n = 0; n < SIGNATURES; n++) {
        char kinds[VX_MAX_ARGUMENTS + 1], signature[VX_MAX_ARGUMENTS + 8], name[] = "mix_?", result = "vilfdp"[n % 6];
        union vx_value args[VX_MAX_ARGUMENTS + 1] = { P(text) }, got;
        random_arguments(kinds, args + 1, n % 50 ? 8 : VX_MAX_ARGUMENTS - 1);
        snprintf(signature, sizeof signature, "%c(p%s)", result, kinds);
        name[4] = result;
        struct vx_func func = export_of(image, name, signature);
        vx_box_write(box, text, kinds, sizeof kinds);
        union vx_value expected = fold(result, mix(kinds, args + 1));
        bool is_good = vx_box_call(box, &func, args, &got, &trap) == VX_OK && is_equal(result, got, expected);
        if (result == 'v') {
            uint64_t hash;
            is_good &= vx_box_read(box, last, &hash, 8) == VX_OK && hash == mix(kinds, args + 1);
        }
        wrong += !is_good;
        if (!is_good)
            fprintf(stderr, "  %s: 0x%llx instead of 0x%llx\n", signature, (unsigned long long)got.u64,
                    (unsigned long long)expected.u64);
    }
    CU_ASSERT_EQUAL(wrong, 0);
    vx_box_free(box);
    vx_image_close(image);
}

/* What the host function with this number is called with, and gives. */
static struct want {
    char kinds[VX_MAX_ARGUMENTS + 1], result;
    union vx_value args[VX_MAX_ARGUMENTS], value;
    size_t count;
    unsigned calls, wrong;
} wants[IMPORT_SLOTS];

static enum vx_host_result check_arguments(struct vx_box *box, void *context, const union vx_value *args,
                                           union vx_value *result)
{
    struct want *want = context;
    want->calls++;
    for (size_t i = 0; i < want->count; i++)
        want->wrong += !is_equal(want->kinds[i], args[i], want->args[i]);
    *result = want->value;
    return VX_HOST_DONE;
}

static uint32_t words_of(const struct want *want, uint32_t *words)
{
    uint32_t n = 0;
    for (size_t i = 0; i < want->count; i++) {
        words[n++] = want->args[i].u32;
        if (want->kinds[i] == 'l' || want->kinds[i] == 'd')
            words[n++] = (uint32_t)(want->args[i].u64 >> 32);
    }
    return n;
}

/* The host says what types its functions have, so the same imports serve for all signatures: relay_R() in the guest
 * passes words on to a function at an address, and returns what that returns. */
static void link_round(void)
{
    static const char *const names[IMPORT_SLOTS] = { "host_add", "host_mixed", "host_float", "host_double", "host_sum",
                                                     "host_nest", "host_log", "host_fail", "host_wait", "host_dirty" };
    struct vx_host_function functions[IMPORT_SLOTS];
    char signatures[IMPORT_SLOTS][VX_MAX_ARGUMENTS + 8];
    for (unsigned i = 0; i < IMPORT_SLOTS; i++) {
        struct want *want = &wants[i];
        memset(want, 0, sizeof *want);
        want->result = "vilfdp"[random_u64() % 6];
        want->count = random_arguments(want->kinds, want->args, i ? 8 : VX_MAX_ARGUMENTS);
        want->value = fold(want->result, random_u64());
        snprintf(signatures[i], sizeof signatures[i], "%c(%.*s)", want->result, VX_MAX_ARGUMENTS, want->kinds);
        functions[i] = (struct vx_host_function){ names[i], signatures[i], check_arguments, want };
    }
    struct vx_image *image = plugin_image(PLUGIN("calls.so"), functions, IMPORT_SLOTS);
    struct vx_box *box = plugin_box(image);
    struct vx_symbol symbol;
    CU_ASSERT_EQUAL_FATAL(vx_box_map(box, 0x10000, 4096, VX_PROT_READ | VX_PROT_WRITE), VX_OK);
    for (size_t i = 0; vx_image_import_at(image, i, &symbol); i++) {
        for (unsigned f = 0; f < IMPORT_SLOTS; f++) {
            struct want *want = &wants[f];
            char name[] = "relay_?", signature[] = "?(ppi)";
            uint32_t words[2 * VX_MAX_ARGUMENTS];
            union vx_value got;
            if (strcmp(symbol.name, names[f]) != 0)
                continue;
            uint32_t count = words_of(want, words);
            vx_box_write(box, 0x10000, words, 4 * count);
            name[6] = signature[0] = want->result;
            struct vx_func relay = export_of(image, name, signature);
            vx_status status = vx_box_call(box, &relay, ARGS(P(symbol.address), P(0x10000), I((int)count)), &got, NULL);
            want->wrong += status != VX_OK || !is_equal(want->result, got, want->value);
            /* The address itself may be called as well: a host function by way of the guest's table. */
            struct vx_func direct;
            CU_ASSERT_EQUAL(vx_func_make(&direct, symbol.address, signatures[f]), VX_OK);
            status = vx_box_call(box, &direct, want->args, &got, NULL);
            want->wrong += status != VX_OK || !is_equal(want->result, got, want->value);
        }
    }
    for (unsigned i = 0; i < IMPORT_SLOTS; i++) {
        CU_ASSERT_EQUAL(wants[i].calls, 2);
        CU_ASSERT_EQUAL(wants[i].wrong, 0);
        if (wants[i].wrong)
            fprintf(stderr, "  host function %s: %u wrong\n", signatures[i], wants[i].wrong);
    }
    vx_box_free(box);
    vx_image_close(image);
}

static void test_random_host_functions(void)
{
    for (unsigned n = 0; n < SIGNATURES / IMPORT_SLOTS; n++)
        link_round();
}

/* ---- signatures ---- */

static void test_signatures(void)
{
    static const char *const bad[] = { "", "i", "i(", "i()x", "i)(", "(i)", "x()", "i(v)", "i(x)", "i(i", "i(.)", "i(i.)",
                                       "ii()", "i (i)", ".()", "i((i))" };
    struct vx_func func;
    char most[VX_MAX_ARGUMENTS + 8];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_EQUAL(vx_func_make(&func, 0, bad[i]), VX_ERR_SIGNATURE);
    CU_ASSERT_EQUAL(vx_func_make(&func, 0, NULL), VX_ERR_SIGNATURE);
    CU_ASSERT_EQUAL(vx_func_make(NULL, 0, "v()"), VX_ERR_ARGUMENT);
    memset(most, 'd', sizeof most);
    memcpy(most, "v(", 2);
    memcpy(most + 2 + VX_MAX_ARGUMENTS, ")", 2);
    CU_ASSERT_EQUAL(vx_func_make(&func, 0, most), VX_OK);
    CU_ASSERT_EQUAL(func.argument_count, VX_MAX_ARGUMENTS);
    CU_ASSERT_EQUAL(func.word_count, 2 * VX_MAX_ARGUMENTS);
    memcpy(most + 2 + VX_MAX_ARGUMENTS, "i)", 3);
    CU_ASSERT_EQUAL(vx_func_make(&func, 0, most), VX_ERR_SIGNATURE);
}

/* ---- symbols and linking ---- */

static enum vx_host_result never(struct vx_box *box, void *context, const union vx_value *args, union vx_value *result)
{
    return VX_HOST_DONE;
}

static void test_symbols(void)
{
    struct vx_image *image;
    struct vx_error error;
    struct vx_symbol symbol;
    vx_gaddr address;
    bool has_add = false, has_object = false, has_weak = false;
    CU_ASSERT_EQUAL_FATAL(vx_image_open(PLUGIN("calls.so"), NULL, &image, &error), VX_OK);
    for (size_t i = 0; vx_image_export_at(image, i, &symbol); i++) {
        CU_ASSERT_EQUAL(vx_image_export(image, symbol.name, &address), VX_OK);
        CU_ASSERT_EQUAL(symbol.address, address);
        has_add |= strcmp(symbol.name, "add") == 0 && symbol.kind == VX_SYMBOL_FUNCTION && symbol.size > 0;
        has_object |= strcmp(symbol.name, "exported_object") == 0 && symbol.kind == VX_SYMBOL_OBJECT && symbol.size == 4;
    }
    CU_ASSERT_TRUE(has_add && has_object);
    CU_ASSERT_EQUAL(vx_image_export(image, "twice", &address), VX_ERR_NO_SYMBOL); /* static */
    CU_ASSERT_EQUAL(vx_image_export(image, "host_add", &address), VX_ERR_NO_SYMBOL);
    CU_ASSERT_EQUAL(vx_image_export(image, "", &address), VX_ERR_NO_SYMBOL);
    CU_ASSERT_EQUAL(vx_image_export(image, NULL, &address), VX_ERR_ARGUMENT);
    size_t imports = 0;
    for (; vx_image_import_at(image, imports, &symbol); imports++) {
        CU_ASSERT_FALSE(symbol.is_bound);
        CU_ASSERT_EQUAL(symbol.address, 0);
        has_weak |= strcmp(symbol.name, "host_never") == 0 && symbol.is_weak;
        CU_ASSERT_STRING_NOT_EQUAL(symbol.name, "___tls_get_addr");
    }
    CU_ASSERT_TRUE(has_weak);
    CU_ASSERT_EQUAL(imports, 13);
    vx_image_close(image);
}

static void test_linking(void)
{
    struct vx_image *image;
    struct vx_error error;
    struct vx_symbol symbol;
    struct vx_box *box;
    struct vx_host_function functions[16];
    struct vx_link link = { .size = sizeof link, .functions = functions };
    CU_ASSERT_EQUAL_FATAL(vx_image_open(PLUGIN("calls.so"), NULL, &image, &error), VX_OK);
    CU_ASSERT_EQUAL(vx_image_link(image, NULL, &error), VX_ERR_IMPORT);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "host_"));
    CU_ASSERT_EQUAL(error.offset, 12);
    for (size_t i = 0; vx_image_import_at(image, i, &symbol); i++)
        if (!symbol.is_weak && strcmp(symbol.name, "host_add") != 0 && strcmp(symbol.name, "host_log") != 0)
            functions[link.function_count++] = (struct vx_host_function){ symbol.name, "v()", never, NULL };
    CU_ASSERT_EQUAL(vx_image_link(image, &link, &error), VX_ERR_IMPORT);
    CU_ASSERT_TRUE(strcmp(error.text, "no function for host_add, host_log") == 0 ||
                   strcmp(error.text, "no function for host_log, host_add") == 0);
    functions[link.function_count++] = (struct vx_host_function){ "host_add", "i(x)", never, NULL };
    CU_ASSERT_EQUAL(vx_image_link(image, &link, &error), VX_ERR_SIGNATURE);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, "host_add"));
    functions[link.function_count - 1].signature = "i(ii)";
    functions[link.function_count++] = (struct vx_host_function){ "host_log", "v(p)", NULL, NULL };
    CU_ASSERT_EQUAL(vx_image_link(image, &link, &error), VX_ERR_ARGUMENT);
    functions[link.function_count - 1].fn = never;
    CU_ASSERT_EQUAL(vx_image_link(image, NULL, NULL), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_image_link(image, &link, &error), VX_OK);
    CU_ASSERT_EQUAL(vx_image_link(image, &link, &error), VX_ERR_BUSY);
    for (size_t i = 0; vx_image_import_at(image, i, &symbol); i++) {
        CU_ASSERT_EQUAL(symbol.is_bound, !symbol.is_weak);
        CU_ASSERT_EQUAL(symbol.address != 0, !symbol.is_weak);
    }
    CU_ASSERT_EQUAL(vx_box_new(image, NULL, &box, &error), VX_OK);
    vx_box_free(box);
    vx_image_close(image);
    /* Boxes map what linking would change. */
    CU_ASSERT_EQUAL_FATAL(vx_image_open(PLUGIN("calls.so"), NULL, &image, &error), VX_OK);
    CU_ASSERT_EQUAL(vx_box_new(image, NULL, &box, &error), VX_OK);
    CU_ASSERT_EQUAL(vx_image_link(image, &link, &error), VX_ERR_BUSY);
    vx_box_free(box);
    CU_ASSERT_EQUAL(vx_image_link(image, &link, &error), VX_OK);
    vx_image_close(image);
}

static void test_starting(void)
{
    struct vx_image *image = plugin_image(PLUGIN("calls.so"), NULL, 0);
    struct vx_func func = export_of(image, "add", "i(ii)");
    struct vx_start options = { .size = sizeof options, .stack_bytes = 8192, .max_nesting = 1 };
    struct vx_box *box;
    struct vx_error error;
    struct vx_trap trap;
    union vx_value result;
    CU_ASSERT_EQUAL(vx_box_new(image, NULL, &box, &error), VX_OK);
    CU_ASSERT_EQUAL(vx_box_call(box, &func, ARGS(I(1), I(2)), &result, &trap), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_box_resume(box, NULL, &result, &trap), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_box_start(box, &(struct vx_start){ .size = sizeof options, .stack_bytes = UINT32_MAX }, &trap),
                    VX_ERR_TOO_LARGE);
    CU_ASSERT_EQUAL(vx_box_start(box, &options, &trap), VX_OK);
    CU_ASSERT_EQUAL(vx_box_start(box, &options, &trap), VX_ERR_BUSY);
    CU_ASSERT_EQUAL(vx_box_call(box, &func, NULL, &result, &trap), VX_ERR_ARGUMENT);
    CU_ASSERT_EQUAL(vx_box_call(box, &func, ARGS(I(1), I(2)), &result, NULL), VX_OK);
    CU_ASSERT_EQUAL(result.i32, 3);
    CU_ASSERT_EQUAL(vx_box_call(box, &func, ARGS(I(1), I(2)), NULL, NULL), VX_OK);
    /* The stack ends where it was asked to. */
    trap = call_trap(image, box, "recurse", "i(i)", ARGS(I(100)), VX_TRAP_STACK);
    CU_ASSERT_TRUE(trap.is_protection);
    vx_box_free(box);
    /* An empty box can be started too: for code of the embedder's own. */
    CU_ASSERT_EQUAL(vx_box_new(NULL, NULL, &box, &error), VX_OK);
    CU_ASSERT_EQUAL(vx_box_start(box, NULL, NULL), VX_OK);
    CU_ASSERT_EQUAL(vx_box_map(box, 0x10000, 4096, VX_PROT_READ | VX_PROT_EXEC), VX_OK);
    CU_ASSERT_EQUAL(vx_box_poke(box, 0x10000, "\x8b\x44\x24\x04\x40\xc2\x04\x00", 8), VX_OK); /* eax = arg + 1; ret 4 */
    CU_ASSERT_EQUAL(vx_func_make(&func, 0x10000, "i(i)"), VX_OK);
    CU_ASSERT_EQUAL(vx_box_call(box, &func, ARGS(I(7)), &result, &trap), VX_OK);
    CU_ASSERT_EQUAL(result.i32, 8);
    /* To where nothing is, and to the gate. */
    CU_ASSERT_EQUAL(vx_func_make(&func, 0x5000, "i(i)"), VX_OK);
    CU_ASSERT_EQUAL(vx_box_call(box, &func, ARGS(I(7)), &result, &trap), VX_ERR_TRAP);
    CU_ASSERT_TRUE(trap.kind == VX_TRAP_PAGE && trap.access == VX_ACCESS_EXEC && trap.address == 0x5000);
    for (uint32_t gate = 0xfffe0000; gate < 0xfffe0040; gate++) {
        CU_ASSERT_EQUAL(vx_func_make(&func, gate, "i(i)"), VX_OK);
        CU_ASSERT_EQUAL(vx_box_call(box, &func, ARGS(I(7)), &result, &trap), VX_ERR_TRAP);
    }
    vx_box_free(box);
    vx_image_close(image);
}

/* ---- hostile files ---- */

static uint8_t *read_whole(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    uint8_t *bytes = malloc(1 << 22);
    CU_ASSERT_TRUE_FATAL(in && bytes);
    *size = fread(bytes, 1, 1 << 22, in);
    fclose(in);
    return bytes;
}

/* Whatever it says: open, list, link, start, call everything. Each step may refuse; nothing may break. */
static void use_mutant(const uint8_t *bytes, size_t size, const struct vx_link *link, unsigned *linked, unsigned *called)
{
    struct vx_image *image;
    struct vx_error error;
    struct vx_symbol symbol;
    struct vx_box *box;
    struct vx_frame frames[8];
    struct vx_box_options options = { .size = sizeof options, .max_memory = 64 << 20 };
    if (vx_image_open_memory(bytes, size, NULL, &image, &error) != VX_OK)
        return;
    for (size_t i = 0; i < 100 && vx_image_export_at(image, i, &symbol); i++)
        vx_image_symbol_at(image, symbol.address, &symbol);
    for (size_t i = 0; i < 100 && vx_image_import_at(image, i, &symbol); i++)
        ;
    if (vx_image_link(image, link, &error) == VX_OK && vx_box_new(image, &options, &box, &error) == VX_OK) {
        ++*linked;
        vx_box_set_time_limit(box, 5000000);
        vx_box_start(box, NULL, NULL);
        for (size_t i = 0; i < 60 && vx_image_export_at(image, i, &symbol); i++) {
            struct vx_func func;
            vx_box_set_time_limit(box, 1000000);
            CU_ASSERT_EQUAL(vx_func_make(&func, symbol.address, i % 2 ? "i(ii)" : "d(dp)"), VX_OK);
            *called += vx_box_call(box, &func, ARGS(I(1), I(2)), NULL, NULL) == VX_OK;
            vx_box_backtrace(box, frames, 8);
        }
        vx_box_free(box);
    }
    vx_image_close(image);
}

static void mutants(const char *path, unsigned rounds)
{
    static const struct vx_host_function functions[] = { { "host_add", "i(ii)", never, NULL },
                                                         { "host_double", "d(d)", never, NULL } };
    const struct vx_link link = { .size = sizeof link, .functions = functions, .function_count = 2, .allow_missing = true };
    unsigned linked = 0, called = 0;
    size_t size;
    uint8_t *bytes = read_whole(path, &size), *copy = malloc(size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(copy);
    for (unsigned n = 0; n < rounds; n++) {
        memcpy(copy, bytes, size);
        /* Mostly the headers and tables in front. */
        for (unsigned k = 1 + n % 8; k > 0; k--) {
            size_t at = random_u64() % (n % 4 ? (size < 0x1000 ? size : 0x1000) : size);
            uint64_t how = random_u64();
            copy[at] = how & 1 ? (uint8_t)(how >> 8) : copy[at] ^ (uint8_t)(1u << (how >> 8) % 8);
        }
        use_mutant(copy, size, &link, &linked, &called);
    }
    CU_ASSERT_TRUE(linked > 0 && called > 0);
    free(bytes);
    free(copy);
}

static void test_mutants(void)
{
    mutants(PLUGIN("calls.so"), 600);
    mutants(PLUGIN("program_pie"), 60);
}

/* test_call_link [SEED] */
int main(int argc, char **argv)
{
    if (!has_plugins())
        return SKIPPED;
    if (argc > 1)
        seed = strtoull(argv[1], NULL, 0) | 1;
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("call_link", NULL, NULL);
    CU_add_test(suite, "signatures", test_signatures);
    CU_add_test(suite, "exports and imports", test_symbols);
    CU_add_test(suite, "linking", test_linking);
    CU_add_test(suite, "starting", test_starting);
    CU_add_test(suite, "random signatures", test_random_calls);
    CU_add_test(suite, "random host functions", test_random_host_functions);
    CU_add_test(suite, "mutants", test_mutants);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
