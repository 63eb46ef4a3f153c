#!/usr/bin/env python3
"""vxrun from the outside: options, exit codes, messages, and the guests of
tests/native, whose output in a box must be that of a native run.

Usage: test_vxrun.py BINARY_DIR. Exit code 77: skipped (no gcc -m32)."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import unittest

BIN = os.path.join(os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "build"), "bin")
VXRUN = os.path.join(BIN, "vxrun")
VXC = os.path.join(BIN, "vxc")
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "native")
WORK = tempfile.mkdtemp(prefix="vx-vxrun-")

SMALL = {
    "hello": '#include <stdio.h>\nint main(int c, char **v) '
             '{ printf("hello %d %s\\n", c, v[c - 1]); return 7; }',
    "env": '#include <stdio.h>\nextern char **environ;\n'
           'int main(void) { for (char **e = environ; *e; e++) puts(*e); return 0; }',
    "crash": 'int main(void) { *(volatile int *)0 = 1; return 0; }',
    "abort": '#include <stdlib.h>\nint main(void) { abort(); }',
    "loop": 'int main(void) { for (;;) __asm__ volatile(""); }',
    "sleep": '#include <unistd.h>\nint main(void) { sleep(100); return 0; }',
    "read": '#include <unistd.h>\nint main(void) { char c; return read(0, &c, 1) == 1 ? c : 99; }',
    # timers that expire faster than they can be handled, natively too
    "storm": '#include <signal.h>\n#include <stdlib.h>\n#include <sys/time.h>\n#include <time.h>\nstatic void tick(int n) { }\n'
             'int main(int c, char **v) { struct itimerval fast = {{0, 1}, {0, 1}}; struct itimerspec at_once = {{0, 1}, {0, 1}}; '
             'signal(SIGALRM, tick); setitimer(ITIMER_REAL, &fast, NULL); for (int i = 0; i < 32; i++) { timer_t timer; '
             'struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + i % 8}; signal(e.sigev_signo, tick); '
             'if (timer_create(CLOCK_MONOTONIC, &e, &timer)) return 1; timer_settime(timer, 0, &at_once, NULL); } '
             'volatile unsigned n = 0; do n++; while (c > 1 || n < 1000000); return 7; }',
    # tens of thousands of mappings, up to the kernel's limit: what fails, fails for want of memory, and all can be given back
    "regions": '#include <errno.h>\n#include <sys/mman.h>\n#define MAP(n) mmap(0, (n) * 4096u, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)\n'
               'static char *one[40000]; int main(void) { int i, n = 40000; for (i = 0; i < n; i++) { if ((one[i] = MAP(1)) == MAP_FAILED || '
               'mprotect(one[i], 4096, i & 1 ? PROT_READ : PROT_WRITE)) return 1; } for (i = 0; i < n; i += 2) one[i][9] = 1; '
               'for (i = 0; i < n; i++) if (munmap(one[i], 4096)) return 2; char *all = MAP(150000); '
               'for (i = 0; i < 150000 && !mprotect(all + i * 4096u, 4096, PROT_READ); i += 2) { } '
               'if (i < 60000 || (i < 150000 && errno != ENOMEM)) return 3; all[4096] = 1; if (munmap(all, 150000 * 4096u)) return 4; '
               'all = MAP(10); if (all == MAP_FAILED || mprotect(all, 4096, PROT_READ)) return 5; all[4096] = 1; return 7; }',
    # a signal in its handler, and again, until the stack ends: some ten thousand deep
    "deep": '#include <signal.h>\n#include <unistd.h>\nstatic volatile int depth; static void on(int n) { '
            'if (++depth == 2000) write(1, "2000\\n", 5); raise(SIGUSR1); } int main(void) { '
            'struct sigaction a = {.sa_handler = on, .sa_flags = SA_NODEFER}; sigaction(SIGUSR1, &a, 0); raise(SIGUSR1); return 0; }',
    "eat": '#include <stdlib.h>\n#include <string.h>\nint main(void) { char *p = malloc(200 << 20); '
           'if (!p) return 3; memset(p, 1, 200 << 20); return 0; }',
    "calls": '#include <errno.h>\n#include <unistd.h>\n#include <sys/syscall.h>\n'
             'int main(void) { int n = 0; for (int i = 0; i < 3; i++) n += syscall(SYS_ptrace, 0) == -1 '
             '&& errno == ENOSYS; n += fork() == -1 && errno == ENOSYS; return n; }',
    "cat": '#include <fcntl.h>\n#include <unistd.h>\n#include <stdio.h>\n#include <errno.h>\n'
           'int main(int c, char **v) { char b[99]; for (int i = 1; i < c; i++) { int f = open(v[i], O_RDONLY); '
           'int n = f < 0 ? -errno : read(f, b, 99); printf("%s %d\\n", v[i], n); } return 0; }',
    "write": '#include <fcntl.h>\n#include <errno.h>\n#include <sys/stat.h>\n#include <stdio.h>\n#include <unistd.h>\n'
             'int main(void) { errno = 0; '
             'printf("%d ", open("new", O_CREAT | O_WRONLY, 0600) < 0 ? errno : 0); '
             'printf("%d ", open("old", O_WRONLY) < 0 ? errno : 0); '
             'printf("%d ", open("old", O_RDONLY | O_TRUNC) < 0 ? errno : 0); '
             'printf("%d ", unlink("old") < 0 ? errno : 0); printf("%d ", chmod("old", 0) < 0 ? errno : 0); '
             'printf("%d ", rename("old", "x") < 0 ? errno : 0); printf("%d ", mkdir("d", 0700) < 0 ? errno : 0); '
             'printf("%d ", truncate("old", 0) < 0 ? errno : 0); printf("%d ", link("old", "l") < 0 ? errno : 0); '
             'printf("%d\\n", fchmod(open("old", O_RDONLY), 0) < 0 ? errno : 0); return 0; }',
}


def path(*names):
    return os.path.join(WORK, *names)


def compile_guest(name, source=None):
    text = source or os.path.join(SOURCES, f"guest_{name}.c")
    if source:
        text = path(f"{name}.c")
        with open(text, "w", encoding="ascii") as file:
            file.write(source)
    return subprocess.run(["gcc", "-m32", "-msse2", "-static", "-O1", "-w", "-o", path(name), text, "-lpthread"],
                          stderr=subprocess.DEVNULL, check=False).returncode == 0


def run(*arguments, stdin="", cwd=WORK, timeout=60):
    return subprocess.run([VXRUN, *arguments], input=stdin, capture_output=True, text=True,
                          cwd=cwd, timeout=timeout, check=False)


class Options(unittest.TestCase):
    def expect(self, code, *arguments, says=""):
        result = run(*arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        self.assertIn(says, result.stderr)
        self.assertEqual(result.stdout, "")

    def test_usage_errors(self):
        self.expect(125, says="no program")
        self.expect(125, "--unknown", "hello")
        self.expect(125, "--mem", "x", "hello", says="--mem")
        self.expect(125, "--mem", "0", "hello", says="--mem")
        self.expect(125, "--mem", "-1", "hello", says="--mem")
        self.expect(125, "--mem", "99999999999G", "hello", says="--mem")
        self.expect(125, "--time-limit", "0", "hello", says="--time-limit")
        self.expect(125, "--time-limit", "nan", "hello", says="--time-limit")
        self.expect(125, "--time-limit", "1s", "hello", says="--time-limit")
        self.expect(125, "--dir", "/a", "hello", says="--dir")
        self.expect(125, "--dir", "a=/tmp", "hello", says="absolute")
        self.expect(125, "--dir", "/a/../b=/tmp", "hello", says="absolute")
        self.expect(125, "--dir", "/a=/nonexistent", "hello", says="/nonexistent")
        self.expect(125, "--env", "X", "hello", says="--env")
        self.expect(125, "--stats=xml", "hello", says="--stats")
        self.expect(125, "--net=x", "hello", says="--net")
        self.expect(125, "--no-cache", "--cache", "x", "hello", says="exclude")

    def test_help(self):
        result = run("--help")
        self.assertEqual(result.returncode, 0)
        self.assertIn("Examples:", result.stdout)
        for option in ("--cache", "--no-cache", "--no-dynamic", "--dir", "--env", "--mem",
                       "--time-limit", "--stats", "--profile-out", "--allow-fork", "--net", "--no-seccomp"):
            self.assertIn(option, result.stdout)
        self.assertRegex(run("--version").stdout, r"^vxrun \S+, format \d+, contract \d+\n$")

    def test_programs_that_cannot_run(self):
        self.expect(127, path("missing"), says="missing")
        self.expect(127, path("no", "such"), says="such")
        with open(path("text"), "w", encoding="ascii") as file:
            file.write("no program")
        self.expect(126, path("text"), says="text")
        with open(path("empty"), "w", encoding="ascii"):
            pass
        self.expect(126, path("empty"))
        self.expect(126, "/bin/true")  # an x86-64 program
        self.expect(126, WORK)
        with open(path("hello"), "rb") as file:
            head = file.read(100)
        with open(path("cut"), "wb") as file:
            file.write(head)
        self.expect(126, path("cut"))


class Ends(unittest.TestCase):
    def test_exit_code(self):
        result = run("hello", "a", "b")
        self.assertEqual((result.returncode, result.stdout), (7, "hello 3 b\n"))

    def test_options_end_at_the_program(self):
        self.assertEqual(run("hello", "--help").stdout, "hello 2 --help\n")
        self.assertEqual(run("--", "hello", "--mem").stdout, "hello 2 --mem\n")

    def test_fault(self):
        result = run("crash")
        self.assertEqual(result.returncode, 128 + 11)
        self.assertRegex(result.stderr,
                         r"^crash:0x[0-9a-f]{8}: error: page fault writing 0x00000000 \(trap\)\n$")

    def test_signal(self):
        result = run("abort")
        self.assertEqual(result.returncode, 128 + 6)
        self.assertIn("signal 6", result.stderr)

    def test_signals_in_handlers(self):
        native = subprocess.run([path("deep")], stdout=subprocess.PIPE, text=True, check=False)
        result = run("deep", timeout=60)
        self.assertEqual((native.returncode, native.stdout), (-11, "2000\n"))
        self.assertEqual((result.returncode, result.stdout), (139, "2000\n"))

    def test_regions(self):
        self.assertEqual(run("regions", timeout=100).returncode, 7)

    def test_time_limit(self):
        for guest in ("loop", "sleep"):
            result = run("--time-limit", "0.2", guest, timeout=10)
            self.assertEqual(result.returncode, 125)
            self.assertIn("time limit reached", result.stderr)
        result = run("--time-limit", "0.5", "storm", "endless", timeout=60)
        self.assertEqual(result.returncode, 125)
        self.assertIn("time limit reached", result.stderr)
        self.assertEqual(run("storm", timeout=60).returncode, 7)
        # a blocked read
        reader, writer = os.pipe()
        result = subprocess.run([VXRUN, "--time-limit", "0.2", path("read")], stdin=reader,
                                capture_output=True, text=True, timeout=10, check=False)
        os.close(reader)
        os.close(writer)
        self.assertEqual(result.returncode, 125)
        self.assertEqual(run("--time-limit", "20", "hello").returncode, 7)

    def test_memory_limit(self):
        self.assertEqual(run("--mem", "64M", "eat").returncode, 3)
        self.assertEqual(run("--mem", "1G", "eat").returncode, 0)

    def test_streams(self):
        self.assertEqual(run("read", stdin="A").returncode, 65)
        self.assertEqual(run("read", stdin="").returncode, 99)
        # output into a pipe that nobody reads: the guest's own SIGPIPE
        result = subprocess.run(f"{VXRUN} {path('hello')} | true", shell=True, check=False)
        self.assertEqual(result.returncode, 0)

    def test_environment(self):
        self.assertEqual(run("env").stdout, "")
        self.assertEqual(run("--env", "A=1", "--env", "B=x y=z", "env").stdout, "A=1\nB=x y=z\n")


class Files(unittest.TestCase):
    def setUp(self):
        self.dir = path("dir")
        os.makedirs(self.dir)
        with open(os.path.join(self.dir, "old"), "w", encoding="ascii") as file:
            file.write("old")

    def tearDown(self):
        shutil.rmtree(self.dir)

    def test_nothing_is_granted(self):
        result = run("cat", "/etc/passwd", "hello", "/proc/self/maps", "/dev/null", "/dev/tty", path("hello"))
        self.assertEqual(result.stdout, f"/etc/passwd -2\nhello -2\n/proc/self/maps -2\n"
                                        f"/dev/null 0\n/dev/tty -2\n{path('hello')} -2\n")

    def test_grants(self):
        result = run("--dir", f"/data={self.dir}", "cat", "/data/old", "old", "/data/../data/old", "../old",
                     "/data/../../etc/passwd")
        self.assertEqual(result.stdout, "/data/old 3\nold 3\n/data/../data/old 3\n../old -2\n"
                                        "/data/../../etc/passwd -2\n")

    def test_links_out(self):
        os.symlink("/etc/passwd", os.path.join(self.dir, "absolute"))
        os.symlink("../hello", os.path.join(self.dir, "relative"))
        result = run("--dir", f"/={self.dir}", "cat", "absolute", "relative")
        self.assertEqual(result.stdout, "absolute -2\nrelative -2\n")

    def test_read_only(self):
        erofs = 30
        result = run("--dir", f"/={self.dir}:ro", "write")
        self.assertEqual(result.stdout.split(), [str(erofs)] * 10)
        self.assertEqual(os.listdir(self.dir), ["old"])


class Caches(unittest.TestCase):
    def setUp(self):
        if not os.path.exists(VXC):
            self.skipTest("no vxc")
        subprocess.run([VXC, "compile", "-o", path("hello.vxc"), path("hello")], check=True,
                       capture_output=True)

    def tearDown(self):
        for name in ("hello.vxc", "other.vxc", "profile"):
            if os.path.exists(path(name)):
                os.unlink(path(name))

    def stats(self, *arguments):
        result = run("--stats=json", *arguments)
        return result, json.loads(result.stderr.splitlines()[-1])

    def test_beside_the_program(self):
        result, stats = self.stats("hello")
        self.assertEqual((result.returncode, result.stdout), (7, "hello 1 hello\n"))
        self.assertEqual(stats["schema"], "vxrun-stats-1")
        self.assertTrue(stats["cache_used"])
        self.assertGreater(stats["entered_from_cache"], 0)
        self.assertEqual(stats["end"], "exited")

    def test_no_cache(self):
        _, stats = self.stats("--no-cache", "hello")
        self.assertFalse(stats["cache_used"])
        self.assertEqual(stats["entered_from_cache"], 0)
        self.assertGreater(stats["fragments_translated"], 0)

    def test_only_the_cache(self):
        self.assertEqual(run("--no-dynamic", "hello").returncode, 7)
        self.assertEqual(run("--no-dynamic", "hello.vxc").stdout, "hello 1 hello.vxc\n")
        result = run("--no-dynamic", "--no-cache", "hello")
        self.assertEqual(result.returncode, 125)
        self.assertRegex(result.stderr, r"^hello:0x[0-9a-f]{8}: error: ")

    def test_another_guests_cache(self):
        shutil.copy(path("hello.vxc"), path("other.vxc"))
        result, stats = self.stats("--cache", "other.vxc", "abort")
        self.assertEqual(result.returncode, 134)
        self.assertIn("other.vxc is not used", result.stderr)
        self.assertFalse(stats["cache_used"])
        self.assertNotEqual(stats["cache_status"], "")

    def test_a_damaged_cache(self):
        with open(path("hello.vxc"), "r+b") as file:
            file.seek(200)
            file.write(b"\0\1\2\3")
        result, stats = self.stats("hello")
        self.assertEqual(result.returncode, 7)
        self.assertFalse(stats["cache_used"])
        self.assertEqual(run("hello.vxc").returncode, 126)

    def test_refused_calls(self):
        result, stats = self.stats("calls")
        self.assertEqual(result.returncode, 4)
        refused = {call["name"]: call["count"] for call in stats["refused_calls"]}
        self.assertEqual(refused["ptrace"], 3)
        self.assertEqual(refused["clone"], 1)
        self.assertIn("ptrace", run("--stats", "calls").stderr)

    def test_profile(self):
        def lines():
            with open(path("profile"), encoding="ascii") as file:
                return file.read().splitlines()
        run("--no-cache", "--profile-out", "profile", "hello")
        first = lines()
        self.assertRegex(first[0], r"^vx-profile 1 [0-9a-f]{32}$")
        self.assertEqual(first[1:], sorted(set(first[1:])))
        self.assertGreater(len(first), 1)
        run("--no-cache", "--profile-out", "profile", "hello")
        self.assertEqual(lines(), first)
        self.assertEqual([name for name in os.listdir(WORK) if "tmp" in name], [])
        # a profile of another guest is replaced
        run("--no-cache", "--profile-out", "profile", "abort")
        self.assertNotEqual(lines()[0], first[0])
        self.assertEqual(subprocess.run([VXC, "compile", "-o", path("other.vxc"), "--profile",
                                         path("profile"), path("abort")], check=False,
                                        capture_output=True).returncode, 0)
        result = run("--no-cache", "--profile-out", "no/such/profile", "hello")
        self.assertEqual(result.returncode, 7)
        self.assertIn("profile", result.stderr)


class Guests(unittest.TestCase):
    """The same program natively and in a box, in a fresh directory each."""

    def compare(self, name, *options):
        self.assertTrue(compile_guest(name))
        outputs = []
        for prefix in ([], [VXRUN, "--dir", "/=.", *options]):
            with tempfile.TemporaryDirectory(prefix="vx-guest-") as directory:
                shutil.copy(path(name), directory)
                result = subprocess.run([*prefix, f"./{name}"], cwd=directory, check=False, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
                outputs.append((result.returncode, result.stdout))
        self.assertEqual(outputs[0][0], 0)
        self.assertEqual(outputs[1], outputs[0])

    def test_files(self):
        self.compare("files")

    def test_memory(self):
        self.compare("memory")

    def test_signals(self):
        self.compare("signals")

    def test_net(self):
        self.compare("net", "--net=loopback")
        self.compare("net", "--net")
        self.compare("net", "--net", "--time-limit", "60")
        # what is not granted: nothing but pairs; with --net, addresses of the network and paths only
        refused = [line.split()[-1] for line in run(path("net"), "refused").stdout.splitlines()]
        self.assertEqual(refused, ["EAFNOSUPPORT"] * 5 + ["EOPNOTSUPP"] * 3)
        refused = [line.split()[-1] for line in run("--net", path("net"), "refused").stdout.splitlines()]
        self.assertEqual(refused, ["3", "EAFNOSUPPORT", "EAFNOSUPPORT", "EPERM", "4", "ENOPROTOOPT"] + ["EOPNOTSUPP"] * 3)

    def test_unix_sockets(self):
        self.compare("unix", "--net", "--allow-fork")
        self.compare("unix", "--net=loopback", "--allow-fork", "--time-limit", "60")
        with tempfile.TemporaryDirectory(prefix="vx-unix-") as top:
            inside, fixed, outside = (os.path.join(top, name) for name in ("inside", "fixed", "outside"))
            sockets = []
            for directory in (inside, fixed, outside):
                os.mkdir(directory)
                sockets.append(socket.socket(socket.AF_UNIX))
                sockets[-1].bind(os.path.join(directory, "socket"))
                sockets[-1].listen()
            os.symlink("../outside/socket", os.path.join(inside, "link-out"))
            os.symlink(os.path.join(outside, "socket"), os.path.join(inside, "link-absolute"))
            sockets.append(socket.socket(socket.AF_UNIX))
            sockets[-1].bind("\0vx-abstract")
            sockets[-1].listen()
            before = [os.listdir(directory) for directory in (inside, fixed, outside)]
            options = ["--net", "--dir", "/=" + inside, "--dir", f"/fixed={fixed}:ro"]
            lines = run(*options, path("unix"), "refused").stdout.splitlines()
            self.assertEqual(len(lines), 28)
            for line in lines:
                self.assertIn(line.split()[-1], ["ENOENT", "EACCES", "ECONNREFUSED", "EROFS", "EADDRINUSE"], line)
            self.assertEqual([os.listdir(directory) for directory in (inside, fixed, outside)], before)
            for each in sockets: # nobody has come
                each.setblocking(False)
                self.assertRaises(BlockingIOError, each.accept)
                each.close()

    def test_shared_mappings(self):
        self.compare("shared", "--allow-fork")

    def test_locks_between_processes(self):
        with tempfile.TemporaryDirectory(prefix="vx-shm-") as memory:
            self.compare("pshared", "--allow-fork", "--dir", "/dev/shm=" + memory)
            self.compare("pshared", "--allow-fork", "--dir", "/dev/shm=" + memory, "--time-limit", "60")

    def test_timers(self):
        self.compare("timers")
        self.compare("timers", "--allow-fork", "--time-limit", "60")

    def test_vector(self):
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as info:
            if not {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe", "abm", "aes", "pclmulqdq"} <= set(info.read().split()):
                self.skipTest("this processor lacks something of the CPU avx2")
        self.compare("vector", "--cpu", "avx2")
        self.compare("vector", "--cpu", "host", "--no-cache")
        subprocess.run([VXC, "compile", "--cpu", "avx2", "-o", path("vector.vxc"), path("vector")], check=True)
        self.compare("vector", "--cache", path("vector.vxc"))
        # a machine without: refused by name. Its C library is told not to see the feature.
        environment = {**os.environ, "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2"}
        result = subprocess.run([VXRUN, path("vector.vxc")], check=False, capture_output=True, text=True, env=environment)
        self.assertIn("this machine has no avx2", result.stderr)
        self.assertNotEqual(result.returncode, 0)

    def test_single_step(self):
        self.compare("step")
        self.compare("step", "--no-cache")
        self.compare("stepall", "--no-cache") # a program from its first instruction to its last

    def test_rewritten_code(self):
        self.compare("rewrite", "--no-cache")
        subprocess.run([VXC, "compile", "-o", path("rewrite.vxc"), path("rewrite")], check=True)
        self.compare("rewrite", "--cache", path("rewrite.vxc"))

    def test_random_calls(self):
        """Random system calls end the guest at worst: a negative code would be vxrun's own crash."""
        self.assertTrue(compile_guest("random"))
        for seed in range(1, 9):
            with tempfile.TemporaryDirectory(prefix="vx-guest-") as directory:
                result = subprocess.run([VXRUN, "--time-limit", "2", "--mem", "1G", "--dir", f"/={directory}",
                                         path("random"), str(seed), "1500"], check=False, timeout=60,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
                self.assertGreaterEqual(result.returncode, 0, f"seed {seed}")

    def test_processes(self):
        self.compare("process", "--allow-fork")


def main():
    if not compile_guest("hello", SMALL["hello"]):
        print("skipped: gcc -m32 -static does not work here")
        return 77
    for name, source in SMALL.items():
        if not compile_guest(name, source):
            print(f"cannot compile {name}")
            return 1
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    return 0 if unittest.TextTestRunner(verbosity=1).run(suite).wasSuccessful() else 1


if __name__ == "__main__":
    try:
        CODE = main()
    finally:
        shutil.rmtree(WORK)
    sys.exit(CODE)
