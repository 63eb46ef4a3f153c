#!/usr/bin/env python3
"""vxc from the outside: options, exit codes, messages, files.

usage: cli_test.py BIN-DIR

Exit status: 0 passed, 1 failed, 77 skipped (no gcc -m32).
"""
import json
import os
import pty
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

BIN = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""
VXC, VXRUN = os.path.join(BIN, "vxc"), os.path.join(BIN, "vxrun")
WORK = tempfile.mkdtemp(prefix="vx-cli-")
GOOD, REJECTED, USAGE, SYSTEM = 0, 1, 2, 3
NOBODY = 65534
# A static program without a C library: small, so that each byte can be tried.
GUEST = """
.globl _start
_start: mov $%d, %%ebx
        mov $table, %%eax
        call *(%%eax)
        mov $1, %%eax
        int $0x80
one:    add $1, %%ebx
        ret
.data
table:  .long one
"""


def path(*names):
    return os.path.join(WORK, *names)


def write(name, content):
    with open(path(name), "wb") as out:
        out.write(content)
    return path(name)


def read(name):
    with open(path(name), "rb") as file:
        return file.read()


def assemble(name, number, *options):
    return subprocess.run(["gcc", "-m32", "-nostdlib", *(options or ["-static", "-no-pie"]), "-x", "assembler", "-",
                           "-o", path(name)], input=(GUEST % number).encode(), stderr=subprocess.PIPE)


def vxc(*arguments, **options):
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([VXC, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=WORK, timeout=120,
                          **options)


def with_input(content):
    """Keyword arguments that give a command its standard input."""
    return {"stdin": None, "input": content}


class Case(unittest.TestCase):
    def check(self, done, code, message=""):
        """The exit code, a message if and only if it failed, and the message's text."""
        errors = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, code, (done.args, errors))
        self.assertEqual(bool(errors), code != GOOD, errors)
        self.assertIn(message, errors)
        return done

    def ends(self, code, *arguments, message="", **options):
        return self.check(vxc(*arguments, **options), code, message)


class Usage(Case):
    def test_wrong_usage(self):
        lines = ["", "nothing", "--nothing", "compile", "compile -x g", "compile -o", "compile g h", "compile -j g",
                 "compile -j 0 g", "compile -j 1025 g", "compile -jx g", "compile -j -1 g", "compile --level g", "compile --level 10 g",
                 "compile --level=x g", "compile --cpu", "compile --cpu= g", "compile --cpu z80 g", "compile --level -1 g", "compile --profile", "compile --detach g", "compile g -o",
                 "verify", "verify --nothing f", "verify --against", "verify --against g", "verify --profile p f", "verify --profile",
                 "info", "info a b", "info -x a", "dump", "dump a b", "dump -x a", "dump --at", "dump --at zz f",
                 "dump --at 100000000 f", "dump --at= f"]
        for line in lines:
            with self.subTest(line=line):
                done = self.ends(USAGE, *line.split(), message="Try 'vxc --help'.")
                self.assertEqual(done.stdout, b"")
                self.assertEqual(done.stderr[:3], b"vxc")

    def test_help_and_version(self):
        text = self.ends(GOOD, "--help").stdout.decode()
        for word in ("compile", "verify", "info", "dump", "examples:", "exit status:"):
            self.assertIn(word, text)
        self.assertRegex(self.ends(GOOD, "--version").stdout.decode(),
                         r"^vxc [0-9.]+, format \d+, contract \d+, translator [0-9a-f]{16}\n$")


class Files(Case):
    def test_missing(self):
        for line in ("compile none", "verify none", "info none", "dump none", "verify --against none small.vxc",
                     "compile --profile none small", "verify --against small --profile none small.vxc"):
            with self.subTest(line=line):
                self.ends(SYSTEM, *line.split(), message="No such file")
        self.assertFalse(os.path.exists(path("none.vxc")))

    def test_directory(self):
        for command in ("compile", "verify", "info", "dump"):
            self.ends(SYSTEM, command, WORK)

    def test_not_for_us(self):
        bad = {"empty": b"", "text": b"#!/bin/sh\nexit 0\n", "magic": b"\x7fELF", "half": read("small")[:40],
               "short": read("small")[:600]}
        for name, content in bad.items():
            with self.subTest(name=name):
                write(name, content)
                self.ends(REJECTED, "compile", name, message=name)
                self.assertFalse(os.path.exists(path(name + ".vxc")))
                for command in ("verify", "info", "dump"):
                    self.ends(REJECTED, command, name, message=name)
        shutil.copy("/bin/true", path("host"))
        self.ends(REJECTED, "compile", "host", message="64-bit, little-endian, machine 62; wanted")
        image = read("small")
        for name, at, value, says in (("big", 5, 2, "32-bit, big-endian"), ("wide", 4, 2, "64-bit"), ("arm", 18, 40, "machine 40"),
                                      ("object", 16, 1, "ELF type 1")):
            write(name, image[:at] + bytes([value]) + image[at + 1:])
            self.ends(REJECTED, "compile", name, message=says)
        self.assertFalse([name for name in ("host", "big", "wide", "arm", "object") if os.path.exists(path(name + ".vxc"))])

    def test_other_caches(self):
        """From the future, and damaged: said with the place and both values."""
        cache = read("small.vxc")
        future = cache[:8] + (99).to_bytes(4, "little") + cache[12:]
        damaged = cache[:-1] + bytes([cache[-1] ^ 1])
        for name, content, says in (("future.vxc", future, "future.vxc+0x8: error: unknown .vxc format version: format version 99"),
                                    ("damaged.vxc", damaged, "damaged.vxc+0x18: error: file hash does not match its contents: header"),
                                    ("nothing.vxc", b"", "nothing.vxc: error: not a .vxc file: the file is empty")):
            write(name, content)
            for command in ("verify", "info", "dump"):
                self.ends(REJECTED, command, name, message=says)

    def test_trees(self):
        os.makedirs(path("tree", "bin"))
        shutil.copy(path("small"), path("tree", "bin"))
        for line in ("--tree tree", "--tree tree -o caches small", "--tree tree -o caches --profile p", "--tree", "--tree= -o caches"):
            self.ends(USAGE, "compile", *line.split(), message="--tree")
        for line, name in (("--tree none -o caches", "none"), ("--tree small -o caches", "small"), ("--tree tree -o small", "small"),
                           ("--tree tree -o /proc/caches", "/proc/caches")):
            self.ends(SYSTEM, "compile", *line.split(), message=f"vxc: error: {name}: ")
        self.assertEqual(sorted(os.listdir(path("tree", "bin"))), ["small"])

    def test_hostile_elf(self):
        """Each byte of the headers, made 0, 0x7f and 0xff: translated or refused, never a crash."""
        image = bytearray(read("small"))
        for at in range(0, 52 + 32 * image[44]):
            for value in (0, 0x7F, 0xFF):
                changed = bytes(image[:at]) + bytes([value]) + bytes(image[at + 1:])
                done = vxc("compile", "-o", "hostile.vxc", "-", **with_input(changed))
                self.assertIn(done.returncode, (GOOD, REJECTED, SYSTEM), (at, value, done.stderr))

    def test_output(self):
        for target in ("none/x.vxc", "/proc/x.vxc", "."):
            with self.subTest(target=target):
                self.ends(SYSTEM, "compile", "-o", target, "small")
        if os.geteuid() == 0:
            self.skip_unless_nobody_can_run()
        os.mkdir(path("closed"))
        os.chmod(path("closed"), 0o555)
        user = {"user": NOBODY} if os.geteuid() == 0 else {}
        self.ends(SYSTEM, "compile", "-o", "closed/x.vxc", "small", message="closed/x.vxc", **user)
        self.assertEqual(os.listdir(path("closed")), [])

    def skip_unless_nobody_can_run(self):
        try:
            subprocess.run([VXC, "--version"], user=NOBODY, stdout=subprocess.DEVNULL, check=True)
        except (OSError, subprocess.CalledProcessError):
            self.skipTest("another user cannot run the programs here")

    def test_full_disk(self):
        if os.geteuid() != 0:
            self.skipTest("only root can mount a small tmpfs")
        os.mkdir(path("disk"))
        script = ('mount -t tmpfs -o size=64k none disk || exit 77; echo old >disk/out.vxc; "$@"; code=$?; '
                  'ls -A disk; cat disk/out.vxc; exit $code')
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", VXC, "compile", "-o", "disk/out.vxc", "libc"],
                              cwd=WORK, capture_output=True)
        if done.returncode in (1, 77) and b"vxc" not in done.stderr:
            self.skipTest("cannot mount a tmpfs here: " + done.stderr.decode())
        self.check(done, SYSTEM, "no space left")
        # No partial file, no temporary one, and what was there is still there.
        self.assertEqual(done.stdout, b"out.vxc\nold\n")

    def test_no_memory(self):
        """With ever more address space: refused for want of it until there is enough, and then right."""
        if b"asan" in subprocess.run(["ldd", VXC], capture_output=True).stdout:
            self.skipTest("AddressSanitizer itself needs more")
        codes = []
        for mebibytes in range(6, 40, 2):
            def limit():
                resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))
            done = vxc("compile", "-j", "2", "-o", "memory.vxc", "libc", preexec_fn=limit)
            codes.append(done.returncode)
            if done.returncode == SYSTEM:
                self.check(done, SYSTEM, "memory")
                self.assertFalse([name for name in os.listdir(WORK) if "memory" in name or name.startswith(".vxc-")])
            elif done.returncode == GOOD:
                self.assertEqual(read("memory.vxc"), read("libc.vxc"))
                os.unlink(path("memory.vxc"))
            else:
                self.assertEqual((done.returncode, mebibytes < 10), (127, True), done.stderr)  # the loader gave up
        self.assertIn(SYSTEM, codes)
        self.assertEqual(codes[-1], GOOD)

    def test_standard_streams(self):
        done = self.ends(GOOD, "compile", "-o", "-", "-", **with_input(read("small")))
        self.assertEqual(done.stdout, read("small.vxc"))
        for command in ("verify", "info", "dump"):
            self.ends(GOOD, command, "-", **with_input(read("small.vxc")))
        self.ends(GOOD, "compile", "-", **with_input(read("small")))
        self.assertEqual(read("guest.vxc"), read("small.vxc"))
        with open("/dev/full", "wb") as full:
            for line in (["info", "small.vxc"], ["--help"], ["compile", "-o", "-", "small"]):
                done = subprocess.run([VXC, *line], cwd=WORK, stdout=full, stderr=subprocess.PIPE)
                self.check(done, SYSTEM)

    def test_no_binary_to_a_terminal(self):
        try:
            master, slave = pty.openpty()
        except OSError as error:
            self.skipTest(f"no terminals here: {error}")
        done = subprocess.run([VXC, "compile", "-o", "-", "small"], cwd=WORK, stdout=slave, stderr=subprocess.PIPE)
        os.close(slave)
        os.close(master)
        self.check(done, USAGE, "terminal")

    def test_replaces_in_one_step(self):
        write("again.vxc", b"old")
        os.chmod(path("again.vxc"), 0o640)
        before = os.stat(path("again.vxc")).st_ino
        self.ends(GOOD, "compile", "-o", "again.vxc", "small")
        self.assertNotEqual(os.stat(path("again.vxc")).st_ino, before)
        self.assertEqual(read("again.vxc"), read("small.vxc"))
        self.assertFalse(stat.S_IMODE(os.stat(path("small.vxc")).st_mode) & 0o111)


class Compile(Case):
    def test_same_bytes(self):
        self.ends(GOOD, "compile", "-j1", "-o", "one.vxc", "libc")
        for options in (["-j4"], ["-j", "3"], []):
            self.ends(GOOD, "compile", *options, "-o", "many.vxc", "libc")
            self.assertEqual(read("one.vxc"), read("many.vxc"), options)

    def test_levels(self):
        sizes = []
        for level in ("0", "1", "9"):
            self.ends(GOOD, "compile", "--level", level, "-o", "level.vxc", "libc")
            self.ends(GOOD, "verify", "--against", "libc", "level.vxc")
            sizes.append(len(read("level.vxc")))
        self.assertGreater(sizes[0], sizes[1])
        self.assertGreater(sizes[1], sizes[2])

    def test_detached(self):
        self.ends(GOOD, "compile", "--detached", "-o", "detached.vxc", "libc")
        self.ends(GOOD, "verify", "detached.vxc")
        self.ends(GOOD, "verify", "--against", "libc", "detached.vxc")
        self.ends(GOOD, "dump", "-d", "detached.vxc")
        self.assertFalse(json.loads(self.ends(GOOD, "info", "--json", "detached.vxc").stdout)["guest_inside"])
        alone = subprocess.run([VXRUN, path("detached.vxc")], capture_output=True)
        self.assertEqual(alone.returncode, 126, alone.stderr)
        both = subprocess.run([VXRUN, "--no-dynamic", "--cache", path("detached.vxc"), path("libc")], capture_output=True)
        self.assertEqual((both.returncode, both.stdout), (7, b"hello\n"), both.stderr)
        other = subprocess.run([VXRUN, "--no-dynamic", "--cache", path("detached.vxc"), path("small")], capture_output=True)
        self.assertEqual(other.returncode, 125, other.stderr)

    def test_cpu(self):
        self.ends(USAGE, "compile", "--cpu", "pentium", "-o", "cpu.vxc", "libc", message="pentium")
        for name, shown in (("i686-sse2", "i686-sse2"), ("sse4.2+rdtscp-popcnt", "sse4.2-popcnt+rdtscp")):
            self.ends(GOOD, "compile", "--cpu", name, "-o", "cpu.vxc", "libc")
            self.assertEqual(json.loads(self.ends(GOOD, "info", "--json", "cpu.vxc").stdout)["cpu"], shown)
            self.ends(GOOD, "verify", "--against", "libc", "cpu.vxc")
            same = subprocess.run([VXRUN, "--no-dynamic", path("cpu.vxc")], capture_output=True)
            self.assertEqual((same.returncode, same.stdout), (7, b"hello\n"), same.stderr)
            other = subprocess.run([VXRUN, "--no-dynamic", "--cpu", "sse4.2", path("cpu.vxc")], capture_output=True)
            self.assertEqual(other.returncode, 125, other.stderr)
            self.assertIn(f"the cache is for CPU {shown}, not sse4.2".encode(), other.stderr)
        wrong = subprocess.run([VXRUN, "--cpu", "pentium", path("libc")], capture_output=True)
        self.assertEqual(wrong.returncode, 125, wrong.stderr)
        for name in ("i686-sse2", "host"):
            done = subprocess.run([VXRUN, "--cpu", name, "--no-cache", path("libc")], capture_output=True)
            self.assertEqual((done.returncode, done.stdout), (7, b"hello\n"), done.stderr)

    def test_profiles(self):
        write("noise", b"\x00\xff" * 100)
        write("wrong.profile", b"vx-profile 1 " + b"0" * 32 + b"\n1000\n")
        for name in ("noise", "wrong.profile"):
            self.ends(REJECTED, "compile", "--profile", name, "-o", "p.vxc", "small", message=name)
            self.assertFalse(os.path.exists(path("p.vxc")))
        done = subprocess.run([VXRUN, "--no-cache", "--profile-out", path("real.profile"), path("small")])
        self.assertEqual(done.returncode, 8)
        self.ends(GOOD, "compile", "--profile", "real.profile", "-o", "p.vxc", "small")
        self.ends(GOOD, "verify", "--against", "small", "--profile", "real.profile", "p.vxc")
        write("damaged.profile", read("real.profile") + b"not an address\n")
        self.ends(REJECTED, "compile", "--profile", "damaged.profile", "-o", "q.vxc", "small", message="damaged.profile:")


class Verify(Case):
    def test_accepted(self):
        done = self.ends(GOOD, "verify", "small.vxc", "libc.vxc", "pie.vxc")
        self.assertEqual(done.stdout.count(b"accepted"), 3)

    def test_flipped(self):
        """Each byte of a small file, one bit of it."""
        good = read("small.vxc")
        step = max(1, len(good) // 300)
        for at in range(0, len(good), step):
            bad = bytearray(good)
            bad[at] ^= 1 << at % 8
            done = vxc("verify", "-", **with_input(bytes(bad)))
            self.assertEqual(done.returncode, REJECTED, (at, done.stderr))
            self.assertEqual(done.stderr.count(b"\n"), 1)

    def test_one_of_several(self):
        write("bad.vxc", read("small.vxc")[:-1])
        done = self.ends(REJECTED, "verify", "small.vxc", "bad.vxc", "libc.vxc", message="bad.vxc")
        self.assertEqual(done.stdout.count(b"accepted"), 2)
        self.ends(SYSTEM, "verify", "bad.vxc", "none.vxc", message="none.vxc")

    def test_against(self):
        for name in ("small", "libc", "pie"):
            self.ends(GOOD, "verify", "--against", name, name + ".vxc")
        self.ends(REJECTED, "verify", "--against", "other", "small.vxc", message="another guest")
        self.ends(REJECTED, "verify", "--against", "small.vxc", "small.vxc", message="not an ELF")

    def test_json(self):
        write("bad.vxc", read("small.vxc")[:-1])
        done = vxc("verify", "--json", "small.vxc", "bad.vxc")
        self.assertEqual(done.returncode, REJECTED)
        report = json.loads(done.stdout)
        self.assertEqual(report["schema"], "vxc-verify-1")
        self.assertEqual([file["accepted"] for file in report["files"]], [True, False])
        done = vxc("verify", "--json", "none")
        self.assertEqual(done.returncode, SYSTEM)
        self.assertFalse(json.loads(done.stdout)["files"][0]["accepted"])


class Look(Case):
    def test_info(self):
        text = self.ends(GOOD, "info", "libc.vxc").stdout.decode()
        for word in ("guest", "translator", "cpu features", "host code", "growth", "section"):
            self.assertIn(word, text)
        info = json.loads(self.ends(GOOD, "info", "--json", "libc.vxc").stdout)
        self.assertEqual(info["schema"], "vxc-info-1")
        self.assertEqual(info["file_bytes"], len(read("libc.vxc")))
        self.assertEqual(info["guest_bytes"], len(read("libc")))
        self.assertTrue(1 < info["growth"] <= 2.5, info["growth"])
        self.assertFalse(info["relocatable"])
        self.assertTrue(json.loads(self.ends(GOOD, "info", "--json", "pie.vxc").stdout)["relocatable"])
        odd = 'a "b"\\\t.vxc'
        write(odd, read("small.vxc"))
        self.assertEqual(json.loads(self.ends(GOOD, "info", "--json", odd).stdout)["file"], odd)

    def test_dump(self):
        plain = self.ends(GOOD, "dump", "small.vxc").stdout.decode()
        self.assertIn("entry", plain)
        entry = plain.split("entry ", 1)[1].split()[0]
        both = self.ends(GOOD, "dump", "-d", "small.vxc").stdout.decode()
        self.assertGreater(len(both), len(plain))
        self.assertIn(entry, self.ends(GOOD, "dump", "--at", entry, "small.vxc").stdout.decode())
        self.ends(GOOD, "dump", "--at", "0x" + entry, "small.vxc")
        self.ends(GOOD, "dump", "-d", "libc.vxc")


def prepare():
    """The guests and their caches. False: gcc -m32 does not work here."""
    if assemble("small", 7).returncode:
        return False
    assemble("other", 8)
    libc = subprocess.run(["gcc", "-m32", "-O2", "-static", "-x", "c", "-", "-o", path("libc")], stderr=subprocess.PIPE,
                          input=b'#include <stdio.h>\nint main(void) { puts("hello"); return 7; }\n')
    pie = subprocess.run(["gcc", "-m32", "-O2", "-static-pie", "-x", "c", "-", "-o", path("pie")], stderr=subprocess.PIPE,
                         input=b"int main(void) { return 7; }\n")
    if libc.returncode or pie.returncode:
        return False
    for name in ("small", "libc", "pie"):
        subprocess.run([VXC, "compile", name], cwd=WORK, check=True)
    return True


def main():
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    os.chmod(WORK, 0o755)
    try:
        if not prepare():
            print("skipped: gcc -m32 -static does not work here")
            return 77
        passed = unittest.main(argv=[sys.argv[0]], exit=False, verbosity=2).result.wasSuccessful()
        return 0 if passed else 1
    finally:
        shutil.rmtree(WORK)


if __name__ == "__main__":
    sys.exit(main())
