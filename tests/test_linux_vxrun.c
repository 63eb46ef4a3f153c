/*
 * Makes tests/test_vxrun.py a CTest case: vxrun's options, exit codes and
 * messages, and guests whose output must be that of a native run.
 */
#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define SKIPPED 77

static void test_script(void)
{
    if (access(BINARY_DIR "/bin/vxrun", X_OK) != 0) {
        printf("skipped: vxrun is not built ");
        return;
    }
    int status = system("python3 " SOURCE_DIR "/tests/test_vxrun.py " BINARY_DIR);
    CU_ASSERT_TRUE_FATAL(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED)
        return;
    CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("linux_vxrun", NULL, NULL);
    CU_add_test(suite, "tests/test_vxrun.py", test_script);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures ? 1 : 0;
}
