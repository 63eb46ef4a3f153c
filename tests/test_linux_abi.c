/*
 * The structures of vxrt/linux/abi32.h against the kernel's and the C
 * library's own headers: a program made of their sizes and offsets is
 * compiled with gcc -m32 and prints what they are. Skipped without -m32.
 */
#include <CUnit/Basic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vxrt/linux/abi32.h"

/* SIZE(ours, theirs) FIELD(ours, field, theirs, field) */
#define LAYOUTS(SIZE, FIELD) \
    SIZE(abi32_timespec, struct timespec) \
    SIZE(abi32_timeval, struct timeval) \
    SIZE(abi32_itimerval, struct itimerval) \
    FIELD(abi32_itimerval, value, struct itimerval, it_value) \
    SIZE(abi32_tms, struct tms) \
    FIELD(abi32_tms, cutime, struct tms, tms_cutime) \
    SIZE(abi32_iovec, struct iovec) \
    SIZE(abi32_rlimit, struct rlimit) \
    SIZE(abi32_rusage, struct rusage) \
    FIELD(abi32_rusage, maxrss, struct rusage, ru_maxrss) \
    FIELD(abi32_rusage, minflt, struct rusage, ru_minflt) \
    FIELD(abi32_rusage, nivcsw, struct rusage, ru_nivcsw) \
    SIZE(abi32_stat, struct stat) \
    FIELD(abi32_stat, mode, struct stat, st_mode) \
    FIELD(abi32_stat, gid, struct stat, st_gid) \
    FIELD(abi32_stat, size, struct stat, st_size) \
    FIELD(abi32_stat, blocks, struct stat, st_blocks) \
    FIELD(abi32_stat, mtime, struct stat, st_mtime) \
    FIELD(abi32_stat, ctime_nsec, struct stat, st_ctime_nsec) \
    SIZE(abi32_stat64, struct stat64) \
    FIELD(abi32_stat64, ino_low, struct stat64, __st_ino) \
    FIELD(abi32_stat64, mode, struct stat64, st_mode) \
    FIELD(abi32_stat64, rdev, struct stat64, st_rdev) \
    FIELD(abi32_stat64, size, struct stat64, st_size) \
    FIELD(abi32_stat64, blksize, struct stat64, st_blksize) \
    FIELD(abi32_stat64, blocks, struct stat64, st_blocks) \
    FIELD(abi32_stat64, atime, struct stat64, st_atime) \
    FIELD(abi32_stat64, ctime_nsec, struct stat64, st_ctime_nsec) \
    FIELD(abi32_stat64, ino, struct stat64, st_ino) \
    SIZE(abi32_statfs, struct statfs) \
    FIELD(abi32_statfs, namelen, struct statfs, f_namelen) \
    FIELD(abi32_statfs, frsize, struct statfs, f_frsize) \
    SIZE(abi32_statfs64, struct statfs64) \
    FIELD(abi32_statfs64, ffree, struct statfs64, f_ffree) \
    FIELD(abi32_statfs64, namelen, struct statfs64, f_namelen) \
    SIZE(abi32_flock, struct flock) \
    FIELD(abi32_flock, len, struct flock, l_len) \
    SIZE(abi32_flock64, struct flock64) \
    FIELD(abi32_flock64, start, struct flock64, l_start) \
    FIELD(abi32_flock64, pid, struct flock64, l_pid) \
    SIZE(abi32_sysinfo, struct sysinfo) \
    FIELD(abi32_sysinfo, procs, struct sysinfo, procs) \
    FIELD(abi32_sysinfo, totalhigh, struct sysinfo, totalhigh) \
    FIELD(abi32_sysinfo, mem_unit, struct sysinfo, mem_unit) \
    SIZE(abi32_user_desc, struct user_desc) \
    FIELD(abi32_user_desc, base_addr, struct user_desc, base_addr) \
    SIZE(abi32_stack, stack_t) \
    FIELD(abi32_stack, size, stack_t, ss_size) \
    SIZE(abi32_siginfo, siginfo_t) \
    FIELD(abi32_siginfo, code, siginfo_t, si_code) \
    FIELD(abi32_siginfo, u.addr, siginfo_t, si_addr) \
    FIELD(abi32_siginfo, u.child.pid, siginfo_t, si_pid) \
    FIELD(abi32_siginfo, u.child.status, siginfo_t, si_status) \
    SIZE(abi32_sigcontext, struct sigcontext) \
    FIELD(abi32_sigcontext, di, struct sigcontext, edi) \
    FIELD(abi32_sigcontext, trapno, struct sigcontext, trapno) \
    FIELD(abi32_sigcontext, cs, struct sigcontext, cs) \
    FIELD(abi32_sigcontext, ss, struct sigcontext, ss) \
    FIELD(abi32_sigcontext, fpstate, struct sigcontext, fpstate) \
    FIELD(abi32_sigcontext, cr2, struct sigcontext, cr2) \
    SIZE(abi32_fpstate, struct _fpstate) \
    FIELD(abi32_fpstate, st, struct _fpstate, _st) \
    FIELD(abi32_fpstate, status, struct _fpstate, status) \
    FIELD(abi32_fpstate, fx, struct _fpstate, _fxsr_env) \
    FIELD(abi32_ucontext, stack, ucontext_t, uc_stack) \
    FIELD(abi32_ucontext, mcontext, ucontext_t, uc_mcontext) \
    FIELD(abi32_ucontext, sigmask, ucontext_t, uc_sigmask)

#define OUR_SIZE(ours, theirs) sizeof(struct ours),
#define OUR_FIELD(ours, field, theirs, their_field) offsetof(struct ours, field),
static const size_t our_numbers[] = {LAYOUTS(OUR_SIZE, OUR_FIELD)};

#define NAME_SIZE(ours, theirs) "sizeof " #theirs,
#define NAME_FIELD(ours, field, theirs, their_field) #theirs "." #their_field,
static const char *const names[] = {LAYOUTS(NAME_SIZE, NAME_FIELD)};

#define SOURCE_SIZE(ours, theirs) "P(sizeof(" #theirs "));\n"
#define SOURCE_FIELD(ours, field, theirs, their_field) \
    "P(offsetof(" #theirs ", " #their_field "));\n"

/* The kernel's struct stat and struct flock, the C library's for the rest. */
static const char source[] =
    "#define _GNU_SOURCE\n"
    "#include <stddef.h>\n#include <stdio.h>\n#include <signal.h>\n#include <time.h>\n"
    "#include <ucontext.h>\n"
    "#include <sys/resource.h>\n#include <sys/time.h>\n#include <sys/times.h>\n"
    "#include <sys/uio.h>\n#include <asm/ldt.h>\n#include <linux/sysinfo.h>\n"
    "#undef st_atime\n#undef st_mtime\n#undef st_ctime\n"
    "#include <asm/stat.h>\n#include <asm/statfs.h>\n#include <asm/fcntl.h>\n"
    "#define P(n) printf(\"%zu\\n\", (size_t)(n))\n"
    "int main(void)\n{\n" LAYOUTS(SOURCE_SIZE, SOURCE_FIELD) "return 0;\n}\n";

static void test_layouts(void)
{
    char directory[] = "/tmp/vx-abi-XXXXXX", path[64], command[256];
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/a.c", directory);
    FILE *file = fopen(path, "w");
    fputs(source, file);
    fclose(file);
    snprintf(command, sizeof command,
             "echo 'int main(void){return 0;}' >%s/t.c && gcc -m32 %s/t.c -o %s/t 2>/dev/null && %s/t",
             directory, directory, directory, directory);
    if (system(command)) {
        printf("skipped: no gcc -m32 ");
    } else {
        snprintf(command, sizeof command, "gcc -m32 -w %s/a.c -o %s/a && %s/a", directory,
                 directory, directory);
        FILE *output = popen(command, "r");
        for (size_t i = 0; i < sizeof our_numbers / sizeof *our_numbers; i++) {
            size_t theirs = 0;
            if (fscanf(output, "%zu", &theirs) != 1 || theirs != our_numbers[i]) {
                printf("\n  %s: %zu here, %zu natively\n", names[i], our_numbers[i], theirs);
                CU_FAIL("a layout differs");
            }
        }
        CU_ASSERT_EQUAL(pclose(output), 0);
    }
    snprintf(command, sizeof command, "rm -rf %s", directory);
    CU_ASSERT_EQUAL(system(command), 0);
}

/* What no header shows: the kernel's frames (arch/x86/include/asm/sigframe.h). */
static void test_frames(void)
{
    CU_ASSERT_EQUAL(offsetof(struct abi32_sigframe, sc), 8);
    CU_ASSERT_EQUAL(offsetof(struct abi32_sigframe, extramask), 720);
    CU_ASSERT_EQUAL(offsetof(struct abi32_sigframe, retcode), 724);
    CU_ASSERT_EQUAL(offsetof(struct abi32_rt_sigframe, info), 16);
    CU_ASSERT_EQUAL(offsetof(struct abi32_rt_sigframe, uc), 144);
    CU_ASSERT_EQUAL(offsetof(struct abi32_rt_sigframe, retcode), 260);
}

int main(void)
{
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("linux_abi", NULL, NULL);
    CU_add_test(suite, "layouts", test_layouts);
    CU_add_test(suite, "signal frames", test_frames);
    CU_basic_set_mode(CU_BRM_VERBOSE);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures ? 1 : 0;
}
