#!/usr/bin/env python3
"""vxrun --root with a small tree: dynamic linking, caches of mapped files, and a guest that tries to get out.

    tests/tree_test.py BIN-DIR [--kills N]

The tree is made from the C library of gcc -m32 and the programs of tests/tree. Nothing is fetched. --kills: how
often a writer of caches is killed (default 8). Exit 0 passed, 1 failed, 77 no gcc -m32, or no 32-bit C library.
"""
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

BIN = os.path.abspath(sys.argv[1])
VXRUN, VXC = os.path.join(BIN, "vxrun"), os.path.join(BIN, "vxc")
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tree")
KILLS = int(sys.argv[sys.argv.index("--kills") + 1]) if "--kills" in sys.argv else 8
LIBRARIES = ["ld-linux.so.2", "libc.so.6", "libm.so.6", "libgcc_s.so.1"]
TIMEOUT_SECONDS = 120
WORK = tempfile.mkdtemp(prefix="vx-tree-")
TREE = os.path.join(WORK, "tree")


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=TIMEOUT_SECONDS)


def gcc(output, source, *options):
    done = run("gcc", "-m32", "-O1", "-D_GNU_SOURCE", "-o", output, os.path.join(SOURCES, source), *options)
    if done.returncode:
        sys.exit("tree_test: %s: %s" % (source, done.stderr.decode(errors="replace")))


def has_gcc():
    if not shutil.which("gcc"):
        return False
    source = os.path.join(WORK, "probe.c")
    with open(source, "w", encoding="ascii") as file:
        file.write("#include <stdio.h>\nint main(void) { return 0; }\n")
    return run("gcc", "-m32", "-o", os.path.join(WORK, "probe"), source).returncode == 0


def make_tree():
    if not has_gcc():
        print("tree_test: skipped: gcc -m32 does not work")
        sys.exit(77)
    lib = os.path.join(TREE, "lib")
    os.makedirs(lib)
    os.makedirs(os.path.join(TREE, "bin"))
    for name in LIBRARIES:
        found = run("gcc", "-m32", "-print-file-name=" + name).stdout.decode().strip()
        if not os.path.isabs(found):
            found = "/lib/" + name
        if not os.path.exists(found):
            print("tree_test: skipped: no 32-bit", name)
            sys.exit(77)
        shutil.copyfile(found, os.path.join(lib, name))
        os.chmod(os.path.join(lib, name), 0o755)
    for name in ["plug", "extra"]:
        gcc(os.path.join(lib, "lib%s.so" % name), name + ".c", "-shared", "-fPIC")
    for name in ["prog", "loop"]:
        gcc(os.path.join(TREE, "bin", name), name + ".c", "-L" + lib, "-lplug", "-lm", "-ldl")
    gcc(os.path.join(TREE, "bin", "hostile"), "hostile.c")
    gcc(os.path.join(TREE, "bin", "threads"), "threads.c", "-pthread")


def native(program, *arguments):
    lib = os.path.join(TREE, "lib")
    return run(os.path.join(lib, "ld-linux.so.2"), "--library-path", lib, "--argv0", "/bin/" + program,
               os.path.join(TREE, "bin", program), *arguments)


def vxrun(*arguments, options=(), tree=None):
    return run(VXRUN, "--root", tree or TREE, *options, *arguments)


def stats(*arguments, options=()):
    """The result of a run and its numbers."""
    done = vxrun(*arguments, options=("--stats=json", *options))
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return done, json.loads(lines[-1]) if lines else {}


def compile_tree(directory, *options):
    return run(VXC, "compile", "--tree", TREE, "-o", directory, "-j2", *options)


def settle():
    """Files so old that their time stamps tell them apart from any later change."""
    for base, _, names in os.walk(TREE):
        for name in names:
            os.utime(os.path.join(base, name), (1e9, 1e9), follow_symlinks=False)


def digest():
    """Names, kinds, modes and contents of the tree."""
    found = hashlib.sha256()
    for base, dirs, names in sorted(os.walk(TREE)):
        for name in sorted(dirs + names):
            path = os.path.join(base, name)
            if name == "swap":
                continue
            found.update(path.encode() + oct(os.lstat(path).st_mode).encode())
            if os.path.isfile(path) and not os.path.islink(path):
                with open(path, "rb") as file:
                    found.update(file.read())
    return found.hexdigest()


class Linking(unittest.TestCase):
    def same(self, *options):
        expected = native("prog", os.path.join(TREE, "lib/libextra.so"), "x y")
        done = vxrun("/bin/prog", "/lib/libextra.so", "x y", options=options)
        self.assertEqual(done.stdout.decode(), expected.stdout.decode(), done.stderr.decode())
        self.assertEqual(done.returncode, expected.returncode)

    def test_same_as_native(self):
        self.same("--no-cache")

    def test_found_along_path(self):
        self.assertEqual(vxrun("loop", options=["--no-cache", "--env", "PATH=/nowhere:/bin"]).stdout, native("loop").stdout)

    def test_threads(self):
        expected = native("threads")
        self.assertEqual(expected.returncode, 5)
        for options in [["--no-cache"], ["--no-cache", "--time-limit", "60", "--stats"]]:
            done = vxrun("/bin/threads", options=["--allow-fork", *options])
            self.assertEqual(done.stdout.decode(), expected.stdout.decode(), done.stderr.decode())
            self.assertEqual(done.returncode, 5)

    def test_threads_against_each_other(self):
        work = os.path.join(WORK, "stress")
        program = os.path.join(work, "program")
        os.makedirs(work)
        gcc(program, "stress.c", "-pthread", "-static")
        expected = run(program, work, program)
        self.assertEqual(expected.returncode, 6)
        for options in [["--no-cache"], ["--no-cache", "--time-limit", "60"], ["--no-cache"]]:
            done = vxrun("/tmp/program", "/tmp", "/tmp/program", options=["--allow-fork", "--dir", "/tmp=" + work, *options])
            self.assertEqual(done.stdout.decode(), expected.stdout.decode(), done.stderr.decode())
            self.assertEqual(done.returncode, 6)

    def test_hostile_threads(self):
        work = os.path.join(WORK, "race")
        data, program = os.path.join(work, "data"), os.path.join(work, "program")
        os.makedirs(os.path.join(data, "a"))
        for path, text in [(os.path.join(data, "inside"), "inside"), (os.path.join(work, "secret"), "of the host")]:
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
        os.symlink("../secret", os.path.join(data, "link"))
        gcc(program, "race.c", "-pthread", "-static")
        done = run(VXRUN, "--no-cache", "--dir", "/data=" + data, program, "2")
        self.assertEqual(done.stdout.decode(), "outside 0, opened many, calls many\n", done.stderr.decode())
        self.assertEqual(done.returncode, 7)

    def test_missing_parts(self):
        tree = os.path.join(WORK, "bare")
        os.makedirs(os.path.join(tree, "bin"), exist_ok=True)
        shutil.copy(os.path.join(TREE, "bin/loop"), os.path.join(tree, "bin/loop"))
        done = vxrun("/bin/loop", tree=tree)
        self.assertEqual(done.returncode, 127)
        self.assertIn(b"ld-linux.so.2", done.stderr)
        self.assertEqual(vxrun("/bin/nothing").returncode, 127)
        self.assertEqual(vxrun("/lib").returncode, 126)
        self.assertEqual(vxrun("/bin/loop", tree="/nonexistent").returncode, 125)

    def test_bad_files(self):
        with open(os.path.join(TREE, "bin/loop"), "rb") as file:
            good = file.read()
        rng = random.Random(3)
        path = os.path.join(TREE, "bin/mutant")
        for _ in range(40):
            mutant = bytearray(good)
            for _ in range(rng.randrange(1, 6)):
                mutant[rng.randrange(0, 52 + 32 * 12)] = rng.randrange(256)
            with open(path, "wb") as file:
                file.write(mutant[:rng.choice([10, 52, 100, 400, len(mutant), len(mutant)])])
            os.chmod(path, 0o755)
            done = vxrun("/bin/mutant", options=["--no-cache", "--time-limit", "5"])
            self.assertGreaterEqual(done.returncode, 0, "vxrun itself was killed")
            self.assertTrue(done.returncode == 0 or done.stderr or done.returncode < 128)
        os.unlink(path)


class Caches(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        settle()
        time.sleep(3.1) # from then on the identities of files are noted

    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="cache-", dir=WORK)
        self.options = ["--cache-dir", self.directory]
        self.expected = native("loop").stdout

    def loop(self):
        done, numbers = stats("/bin/loop", options=self.options)
        self.assertEqual(done.stdout, self.expected, done.stderr)
        return numbers

    def names(self):
        return [name for name in os.listdir(self.directory) if name.endswith(".vxc") and not name.startswith(".")]

    def test_tree(self):
        first = compile_tree(self.directory)
        self.assertEqual(first.returncode, 0, first.stderr)
        self.assertIn(b"10 translated, 0 current, 0 not translated", first.stdout)
        numbers = self.loop()
        self.assertEqual(numbers["mapped_files_cached"], 5)
        self.assertEqual(numbers["mapped_files"], 5)
        self.assertLessEqual(50 * numbers["fragments_translated"], numbers["entered_from_cache"])
        again = compile_tree(self.directory)
        self.assertIn(b"0 translated, 10 current, 0 not translated", again.stdout)
        self.assertEqual(vxrun("/bin/prog", "/lib/libextra.so", options=self.options).returncode, 3)
        expected = native("prog", os.path.join(TREE, "lib/libextra.so"), "x")
        self.assertEqual(vxrun("/bin/prog", "/lib/libextra.so", "x", options=self.options).stdout, expected.stdout)

    def test_changed_file(self):
        compile_tree(self.directory)
        self.loop()
        path = os.path.join(TREE, "lib/libplug.so")
        with open(path, "rb") as file:
            old = file.read()
        try:
            with open(path, "r+b") as file: # as a package update in place would; another function body
                file.seek(old.index(b"\x0f\xaf\xc0") if b"\x0f\xaf\xc0" in old else old.index(b"\xf7\xd8"))
                file.write(b"\x01\xc0\x90" if b"\x0f\xaf\xc0" in old else b"\x90\x90")
            self.expected = native("loop").stdout
            os.utime(path, (1e9, 1e9))
            self.assertEqual(self.loop()["mapped_files_cached"], 4)
            self.assertIn(b"1 translated, 9 current", compile_tree(self.directory).stdout)
            self.assertEqual(self.loop()["mapped_files_cached"], 5)
        finally:
            with open(path, "wb") as file:
                file.write(old)

    def test_written_by_runs(self):
        self.options.append("--cache-write")
        cold = self.loop()
        self.assertEqual(cold["mapped_files_cached"], 0)
        self.assertGreater(cold["fragments_translated"], 20)
        self.assertEqual(len(self.names()), 5)
        self.loop()
        warm = self.loop()
        self.assertEqual(warm["mapped_files_cached"], 5)
        self.assertLessEqual(50 * warm["fragments_translated"], warm["entered_from_cache"])

    def test_damaged_and_mistaken(self):
        compile_tree(self.directory)
        rng = random.Random(4)
        names = self.names()
        for name in names: # bytes changed at random: found by hashes, not used
            path = os.path.join(self.directory, name)
            with open(path, "r+b") as file:
                for _ in range(30):
                    file.seek(rng.randrange(os.path.getsize(path)))
                    file.write(bytes([rng.randrange(256)]))
        self.loop()
        os.unlink(os.path.join(self.directory, names[0]))
        for name in names: # each under the name of another
            shutil.copy(os.path.join(TREE, "lib/libm.so.6"), os.path.join(self.directory, name))
        self.loop()
        for name in os.listdir(os.path.join(self.directory, "by-file")):
            path = os.path.join(self.directory, "by-file", name)
            os.unlink(path)
            os.symlink("/etc/passwd", path)
        self.loop()

    def test_writers_at_once(self):
        writers = [subprocess.Popen([VXC, "compile", "--tree", TREE, "-o", self.directory, "-j1"], stdout=subprocess.DEVNULL)
                   for _ in range(2)]
        self.options.append("--cache-write")
        for _ in range(3):
            self.loop()
        self.assertEqual([writer.wait() for writer in writers], [0, 0])
        self.assertEqual(len(self.names()), 10)
        self.check_all()

    def check_all(self):
        for name in self.names():
            self.assertEqual(run(VXC, "verify", os.path.join(self.directory, name)).returncode, 0, name)

    def test_killed_writers(self):
        rng = random.Random(5)
        for i in range(KILLS):
            if i % 2:
                command = [VXC, "compile", "--tree", TREE, "-o", self.directory, "-j2"]
            else:
                command = [VXRUN, "--root", TREE, *self.options, "--cache-write", "/bin/loop"]
            writer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
            time.sleep(rng.random() * 0.6)
            os.killpg(writer.pid, signal.SIGKILL)
            writer.wait()
            self.check_all()
            if i % 4 == 3 and self.names():
                os.unlink(os.path.join(self.directory, rng.choice(self.names())))
        self.assertEqual(compile_tree(self.directory).returncode, 0)
        self.loop()
        left = [name for name in os.listdir(self.directory) if name.startswith(".")]
        self.assertEqual(left, [])


class Escapes(unittest.TestCase):
    def test_hostile_guest(self):
        outside = os.path.join(WORK, "outside")
        work = os.path.join(WORK, "work")
        lib = os.path.join(TREE, "lib")
        os.makedirs(outside)
        os.makedirs(work)
        for directory in [outside, WORK]:
            with open(os.path.join(directory, "secret"), "w", encoding="ascii") as file:
                file.write("SECRET of the host")
        for directory in [lib, work]:
            os.symlink(os.path.join(outside, "secret"), os.path.join(directory, "secret-absolute"))
            os.symlink("../../outside/secret" if directory == lib else "../outside/secret",
                       os.path.join(directory, "secret-relative"))
            os.symlink(outside, os.path.join(directory, "secret-up"))
        os.symlink("secret-absolute", os.path.join(lib, "secret-chain"))
        os.symlink("../..", os.path.join(lib, "secret-root"))
        os.symlink("secret-loop", os.path.join(lib, "secret-loop"))
        os.symlink("/proc/self/root%s/secret" % outside, os.path.join(work, "secret-proc"))
        other = os.path.join(WORK, "other") # a second mount, with links between the two
        os.makedirs(other)
        with open(os.path.join(other, "plain"), "w", encoding="ascii") as file:
            file.write("plain")
        for link, text in [("work/over", "/other"), ("work/to-plain", "/work/over/plain"), ("other/back", "/work"),
                           ("other/secret-absolute", outside + "/secret"), ("other/secret-relative", "../outside/secret"),
                           ("other/secret-up", outside), ("other/secret-chain", "/work/secret-relative"), ("other/secret-top", "/"),
                           ("tree/lib/secret-mount", "/other")]:
            os.symlink(text, os.path.join(WORK, link))
        before = digest()
        mounts = ["--dir", "/work=" + work, "--dir", "/other=%s:ro" % other]
        done = vxrun("/bin/hostile", outside, options=["--no-cache", *mounts, "--allow-fork"])
        print(done.stdout.decode().strip().splitlines()[-1:], file=sys.stderr)
        self.assertEqual(done.returncode, 0, done.stdout.decode() + done.stderr.decode())
        self.assertGreater(int(done.stdout.split()[0]), 40)
        self.assertEqual(digest(), before)
        with open(os.path.join(outside, "secret"), encoding="ascii") as file:
            self.assertEqual(file.read(), "SECRET of the host")

    def race(self, swap, targets, path, *options):
        is_over = threading.Event()

        def swapping():
            while not is_over.is_set():
                os.mkdir(swap)
                os.rmdir(swap)
                for target in targets:
                    os.symlink(target, swap)
                    os.unlink(swap)

        swapper = threading.Thread(target=swapping)
        swapper.start()
        try:
            done = vxrun("/bin/hostile", "race", "20000", path, options=["--no-cache", *options])
        finally:
            is_over.set()
            swapper.join()
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_race(self):
        outside = os.path.join(WORK, "race")
        os.makedirs(outside)
        with open(os.path.join(outside, "secret"), "w", encoding="ascii") as file:
            file.write("SECRET of the host")
        self.race(os.path.join(TREE, "lib/swap"), ["../../race"], "/lib/swap/secret")
        first, second = os.path.join(WORK, "first"), os.path.join(WORK, "second")
        os.makedirs(first)
        os.makedirs(second)
        os.symlink("/first/swap", os.path.join(second, "link"))
        self.race(os.path.join(first, "swap"), [outside, "../race", "/second", "/second/../first", "/"], "/second/link/secret",
                  "--dir", "/first=" + first, "--dir", "/second=" + second)


if __name__ == "__main__":
    try:
        make_tree()
        result = unittest.main(argv=sys.argv[:1], exit=False, verbosity=2).result
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
    sys.exit(0 if result.wasSuccessful() else 1)
