#!/usr/bin/env python3
"""Guests that try what the personality must not let them do: see what is the host's, reach what was not granted, outlive their
time limit. Each guest of tests/hostile says itself what did not hold.

usage: vxrun_hostile_test.py BIN-DIR [UNITTEST-OPTION]...

Exit status: 0 passed, 1 failed, 77 skipped (no gcc -m32).
"""
import fcntl
import os
import select
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

BIN = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""
VXRUN = os.path.join(BIN, "vxrun")
SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostile")
WORK = tempfile.mkdtemp(prefix="vx-hostile-")
FAILED = 125
TIOCGPTN, TIOCSPTLCK = 0x80045430, 0x40045431


def path(*names):
    return os.path.join(WORK, *names)


def directory(name):
    """An empty one."""
    shutil.rmtree(path(name), ignore_errors=True)
    os.mkdir(path(name))
    return path(name)


def compile_guest(name):
    options = ["-static-pie", "-fPIE"] if name == "bigmap" else ["-static"]
    done = subprocess.run(["gcc", "-m32", "-O1", "-w", *options, "-o", path(name), os.path.join(SOURCES, name + ".c"), "-lpthread"],
                          stderr=subprocess.PIPE, check=False, text=True)
    if done.returncode:
        print(done.stderr)
    return done.returncode == 0


def vxrun(*arguments, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("timeout", 60)
    return subprocess.run([VXRUN, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=WORK, check=False,
                          **options)


def is_sanitized():
    with open(VXRUN, "rb") as file:
        return b"__asan_init" in file.read()


class Case(unittest.TestCase):
    def holds(self, *arguments, **options):
        done = vxrun(*arguments, **options)
        self.assertEqual((done.returncode, done.stdout), (0, ""), arguments)

    def ends_in_time(self, *arguments):
        start = time.monotonic()
        done = vxrun("--time-limit", "1", *arguments, timeout=30)
        self.assertEqual(done.returncode, FAILED, (arguments, done.stdout))
        self.assertIn("time limit reached", done.stdout)
        self.assertLess(time.monotonic() - start, 15)


class HostMemory(Case):
    """What a guest is given was written for it."""

    def test_directory_entries(self):
        self.holds("--dir", "/d=" + directory("d"), "dents", "/d")

    def test_bytes_thrown_away(self):
        self.holds("--net=loopback", "truncated")

    def test_time_left(self):
        self.holds("select")


class Files(Case):
    def test_descriptor_of_another_file(self):
        for options in ((), ("--time-limit", "60")):
            self.holds(*options, "--dir", "/rw=" + directory("rw"), "serial", "/rw/file")

    def test_renaming_around_a_mount(self):
        root = directory("root")
        os.makedirs(path("root", "proj", "secret"))
        for name in (("secret", "file"), ("plain",)):
            with open(path("root", "proj", *name), "w", encoding="ascii"):
                pass
        self.holds("--dir", "/=" + root, "--dir", "/proj/secret=" + path("root", "proj", "secret") + ":ro", "rename")
        self.assertEqual(sorted(os.listdir(path("root", "proj"))), ["renamed", "secret"])

    def test_device_is_not_opened(self):
        """The end of a terminal that nobody had opened: then the other end has no hang-up."""
        try:
            terminal = os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
        except OSError:
            self.skipTest("no terminals here")
        fcntl.ioctl(terminal, TIOCSPTLCK, struct.pack("i", 0))
        number = struct.unpack("i", fcntl.ioctl(terminal, TIOCGPTN, b"\0" * 4))[0]
        for options in ((), ("--allow-fork",)):
            for mount in ("/d=/dev/pts", "/d=/dev/pts:ro"):
                done = vxrun(*options, "--dir", mount, "device", f"/d/{number}")
                if mount.endswith(":ro"): # what would change it is refused before
                    self.assertNotIn("errno 0", done.stdout)
                else:
                    self.assertEqual((done.returncode, done.stdout), (0, ""))
                poll = select.poll()
                poll.register(terminal, select.POLLIN)
                self.assertEqual([event for _, event in poll.poll(0) if event & select.POLLHUP], [])
        os.close(os.open(f"/dev/pts/{number}", os.O_RDWR | os.O_NOCTTY))
        self.assertEqual([event & select.POLLHUP for _, event in poll.poll(0)], [select.POLLHUP]) # it would have shown
        os.close(terminal)

    def test_no_standard_streams(self):
        def close_all():
            for fd in range(3):
                os.close(fd)
        directory("rw")
        for options in ((), ("--time-limit", "20", "--allow-fork")):
            done = subprocess.run([VXRUN, *options, "--dir", "/rw=" + path("rw"), path("streams")], preexec_fn=close_all, check=False,
                                  timeout=60)
            self.assertEqual(done.returncode, 0)

    def test_mask_of_new_files(self):
        for mask in ("0", "777"):
            name = path("profile" + mask)
            done = vxrun("--no-cache", "--profile-out", name, "umask", mask, umask=0o022)
            self.assertEqual((done.returncode, done.stdout), (0, ""))
            self.assertEqual(stat.S_IMODE(os.stat(name).st_mode), 0o644)


class Time(Case):
    """No call keeps the others of a guest, or its time limit, from having their way."""

    def test_threads_that_wait_in_calls(self):
        for way in ("event", "sendfile", "pipe", "pair", "empty", "tcp", "tcp-small"):
            with self.subTest(way=way):
                self.holds("--net=loopback", "blocked", way)
                self.holds("--net=loopback", "--time-limit", "60", "blocked", way)

    def test_threads_that_wait_for_ever(self):
        for way in ("event", "sendfile", "pipe", "pair", "empty", "tcp", "tcp-small"):
            with self.subTest(way=way):
                self.ends_in_time("--net=loopback", "blocked", way, "forever")

    def test_stopped_child(self):
        start = time.monotonic()
        with subprocess.Popen([VXRUN, "--allow-fork", "--time-limit", "1", "stopped"], cwd=WORK, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True) as process:
            child = int(process.stdout.readline())
            self.assertEqual(process.wait(30), FAILED)
            while os.path.exists(f"/proc/{child}") and time.monotonic() - start < 20:
                with open(f"/proc/{child}/stat", encoding="ascii", errors="replace") as file:
                    if file.read().rsplit(")", 1)[1].split()[0] == "Z": # nobody's child any more: not ours to reap
                        break
                time.sleep(0.05)
            else:
                if os.path.exists(f"/proc/{child}"):
                    os.kill(child, signal.SIGKILL)
                    self.fail("the child is still there")

    def test_signal_of_a_timer(self):
        for options in ((), ("--time-limit", "60")):
            with subprocess.Popen([VXRUN, *options, "timer"], cwd=WORK, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
                self.assertEqual(process.stdout.readline(), "ready\n")
                for _ in range(3):
                    process.send_signal(signal.SIGRTMAX - 2)
                    time.sleep(0.05)
                out, _ = process.communicate("\n", timeout=30)
                self.assertEqual((process.returncode, out), (0, ""))


class Memory(Case):
    def test_large_files_mapped(self):
        """Six times what is not there: looked at, if at all, without holding it."""
        for megabytes in ("1023", "100"):
            root = directory("tree")
            shutil.copy(path("bigmap"), root)
            with subprocess.Popen([VXRUN, "--root", root + ":rw", "--cache-dir", directory("caches"), "--mem", "64M", "/bigmap", megabytes,
                                   "6"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
                out = process.stdout.read()
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            self.assertEqual((process.returncode, out), (0, ""))
            if not is_sanitized():
                self.assertLess(usage.ru_maxrss, 100_000) # KiB
            self.assertLess(usage.ru_utime + usage.ru_stime, 10)


def main():
    if subprocess.run(["gcc", "-m32", "-static", "-x", "c", "-", "-o", path("try")], input=b"int main(void) { return 0; }",
                      stderr=subprocess.DEVNULL, check=False).returncode:
        print("skipped: gcc -m32 -static does not work here")
        return 77
    for name in os.listdir(SOURCES):
        if name.endswith(".c") and not compile_guest(name[:-2]):
            return 1
    return 0 if unittest.main(argv=sys.argv[:1] + sys.argv[2:], exit=False).result.wasSuccessful() else 1


if __name__ == "__main__":
    try:
        CODE = main()
    finally:
        shutil.rmtree(WORK)
    sys.exit(CODE)
