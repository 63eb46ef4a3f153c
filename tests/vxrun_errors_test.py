#!/usr/bin/env python3
"""What vxrun says when it cannot do its work: each error names the file and the cause, has the right exit
code, and leaves nothing half-written.

usage: vxrun_errors_test.py BIN-DIR

Exit status: 0 passed, 1 failed, 77 skipped (no gcc -m32).
"""
import os
import resource
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

BIN = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""
VXC, VXRUN = os.path.join(BIN, "vxc"), os.path.join(BIN, "vxrun")
WORK = tempfile.mkdtemp(prefix="vx-errors-")
FAILED, CANNOT_LOAD, MISSING, GUEST = 125, 126, 127, 7
NOBODY = 65534
# Says hello by way of a few hundred bytes of code, and ends with 7.
SOURCE = """
.globl _start
_start: mov $4, %eax
        mov $1, %ebx
        mov $text, %ecx
        mov $6, %edx
        int $0x80
        mov $1, %eax
        mov $7, %ebx
        int $0x80
.data
text:   .ascii "hello\\n"
"""


def path(*names):
    return os.path.join(WORK, *names)


def write(name, content):
    with open(path(name), "wb") as out:
        out.write(content)
    return name


def read(name):
    with open(path(name), "rb") as file:
        return file.read()


def vxrun(*arguments, **options):
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run([VXRUN, *arguments], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=WORK, timeout=60,
                          check=False, **options)


def is_sanitized():
    with open(VXRUN, "rb") as file:
        return b"__asan_init" in file.read()


class Case(unittest.TestCase):
    def fails(self, code, *arguments, says=(), **options):
        """The exit code, nothing on stdout, and one line of message with the words of `says` in it."""
        done = vxrun(*arguments, **options)
        text = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, code, (arguments, text))
        self.assertFalse(done.stdout, arguments)
        self.assertEqual([line for line in text.splitlines() if "--help" not in line][1:], [], text)
        for word in (says,) if isinstance(says, str) else says:
            self.assertIn(word, text)
        return text

    def runs(self, *arguments, says=(), **options):
        """The guest does its work, whatever vxrun has to say besides."""
        done = vxrun(*arguments, **options)
        text = done.stderr.decode(errors="replace")
        self.assertEqual((done.returncode, done.stdout), (GUEST, b"hello\n"), (arguments, text))
        self.assertEqual(bool(text), bool(says), text)
        for word in (says,) if isinstance(says, str) else says:
            self.assertIn(word, text)

    def as_nobody(self):
        if os.geteuid() != 0:
            return {}
        try:
            subprocess.run([VXRUN, "--version"], user=NOBODY, stdout=subprocess.DEVNULL, check=True)
        except (OSError, subprocess.CalledProcessError):
            self.skipTest("another user cannot run the programs here")
        return {"user": NOBODY}


class Usage(Case):
    def test_bad_flags(self):
        for line in ("", "--nothing prog", "-x prog", "--cache", "--mem", "--mem= prog", "--mem 1T prog", "--mem -1 prog",
                     "--mem 99999999999999999999 prog", "--time-limit", "--time-limit x prog", "--time-limit 1e30 prog",
                     "--time-limit inf prog", "--dir", "--dir /a prog", "--dir a=. prog", "--dir /../a=. prog", "--env X prog",
                     "--env =X prog", "--stats=xml prog", "--no-cache=1 prog", "--cache c --no-cache prog", "--profile-out"):
            with self.subTest(line=line):
                self.fails(FAILED, *line.split(), says="Try 'vxrun --help'.")

    def test_bad_directories(self):
        write("plain", b"")
        self.fails(FAILED, "--dir", "/a=none", "prog", says=("none", "No such file"))
        self.fails(FAILED, "--dir", "/a=plain", "prog", says=("plain", "Not a directory"))

    def test_standard_output_is_full(self):
        for option in ("--help", "--version"):
            with open("/dev/full", "wb") as full:
                done = vxrun(option, stdout=full)
            self.assertEqual(done.returncode, FAILED)
            self.assertIn(b"No space left", done.stderr)


class Programs(Case):
    def test_not_there(self):
        for name in ("none", "none/prog", "prog/inside", ""):
            with self.subTest(name=name):
                self.fails(MISSING, name, says=(name, "not found"))

    def test_not_a_file(self):
        os.mkfifo(path("fifo"))
        for name in (WORK, "fifo", "/dev/null", "/dev/zero"):
            with self.subTest(name=name):
                self.fails(CANNOT_LOAD, name, says=(name, "not a regular file"))

    def test_not_readable(self):
        user = self.as_nobody()
        shutil.copy(path("prog"), path("closed"))
        os.chmod(path("closed"), 0)
        self.fails(CANNOT_LOAD, "closed", says=("closed", "Permission denied"), **user)

    def test_not_a_program(self):
        image = read("prog")
        for name, content, cause in (("empty", b"", "not an ELF"), ("script", b"#!/bin/sh\n", "not an ELF"),
                                     ("magic", b"\x7fELF", "ELF header"), ("half", image[:40], "ELF header"),
                                     ("arm", image[:18] + b"\x28" + image[19:], "not a 32-bit"),
                                     ("object", image[:16] + b"\x01" + image[17:], "object"),
                                     ("wide", image[:4] + b"\x02" + image[5:], "64-bit"),
                                     ("big", image[:5] + b"\x02" + image[6:], "big-endian")):
            with self.subTest(name=name):
                self.fails(CANNOT_LOAD, write(name, content), says=(name, cause))
        shutil.copy("/bin/true", path("host"))
        self.fails(CANNOT_LOAD, "host", says=("host", "not a 32-bit"))

    def test_plug_ins(self):
        """What is there to be called by a host is no program, and says so."""
        write("plug.c", b"int add(int a, int b) { return a + b; }\n")
        write("park.s", b".globl _start\n_start: mov $0x56580001, %eax\n int $0x80\n ud2\n")
        for name, source, *options in (("plug", "plug.c", "-shared", "-fPIC"), ("park", "park.s", "-static", "-no-pie")):
            subprocess.run(["gcc", "-m32", "-nostdlib", *options, path(source), "-o", path(name)], check=True)
            subprocess.run([VXC, "compile", path(name)], check=True)
        for name in ("plug", "plug.vxc"):
            self.fails(CANNOT_LOAD, name, says=(name, "shared object without an entry"))
        for name in ("park", "park.vxc"):
            self.fails(FAILED, "--time-limit", "20", name, says=(name + ":0x0804", "is a plug-in"))

    def test_damaged_headers(self):
        """Each byte of the ELF and program headers, made 0, 0x7f and 0xff: an error, or a guest that ends somehow."""
        image = read("prog")
        for at in range(0, 52 + 32 * image[44]):
            for value in (0, 0x7F, 0xFF):
                name = write("hostile", image[:at] + bytes([value]) + image[at + 1:])
                done = vxrun("--no-cache", "--time-limit", "5", "--mem", "64M", name)
                self.assertTrue(0 <= done.returncode < 160, (at, value, done.returncode))
                if done.returncode == CANNOT_LOAD:
                    self.assertIn(b"hostile", done.stderr)


class Caches(Case):
    def test_truncated(self):
        good = read("prog.vxc")
        for size in sorted({0, 1, 7, 8, 63, 64, len(good) - 1} | set(range(0, len(good), max(1, len(good) // 40)))):
            with self.subTest(size=size):
                name = write("cut.vxc", good[:size])
                self.fails(CANNOT_LOAD, name, says=name)
                self.runs("--cache", name, "prog", says=("cut.vxc", "is not used"))

    def test_from_the_future(self):
        good = read("prog.vxc")
        name = write("future.vxc", good[:8] + (99).to_bytes(4, "little") + good[12:])
        self.fails(CANNOT_LOAD, name, says=("future.vxc+0x8: ", "format version 99"))
        self.runs("--cache", name, "prog", says=("future.vxc is not used", "format version 99"))

    def test_not_usable(self):
        os.mkfifo(path("pipe.vxc"))
        os.mkdir(path("dir.vxc"))
        for name, cause in (("none.vxc", "not found"), ("pipe.vxc", "not a regular file"), ("dir.vxc", "not a regular file"),
                            ("prog", "")):
            with self.subTest(name=name):
                self.runs("--cache", name, "prog", says=(name, "is not used", cause))

    def test_not_readable(self):
        user = self.as_nobody()
        shutil.copy(path("prog.vxc"), path("closed.vxc"))
        os.chmod(path("closed.vxc"), 0)
        self.runs("--cache", "closed.vxc", "prog", says=("closed.vxc", "Permission denied"), **user)
        self.fails(CANNOT_LOAD, "closed.vxc", says=("closed.vxc", "Permission denied"), **user)


class Roots(Case):
    """--root and its cache directory."""

    def test_bad_places(self):
        for arguments, says in ((("--root", "none", "prog"), "--root: none: No such file"), (("--root", "prog", "prog"), "--root: prog: Not a dir"),
                                (("--root", ".", "--cache-dir", "none", "/prog"), "--cache-dir: none: No such file"),
                                (("--root", ".", "--cache-dir", "prog", "/prog"), "--cache-dir: prog: Not a dir"),
                                (("--cache-write", "prog"), "need --root"), (("--cache-dir", ".", "prog"), "need --root"),
                                (("--root", ".", "--cache", "prog.vxc", "/prog"), "--cache"), (("--net=far", "prog"), "--net: "),
                                (("--cpu", "z80", "prog"), "z80"), (("--cpu",), "--cpu")):
            with self.subTest(arguments=arguments):
                self.fails(FAILED, *arguments, says=says)
        self.fails(MISSING, "--root", ".", "/none", says=("/none", "not found"))
        self.fails(MISSING, "--root", ".", "none", says=("none", "not found"))
        for name, content in (("/empty.elf", b""), ("/big.elf", read("prog")[:5] + b"\x02" + read("prog")[6:])):
            write(name[1:], content)
            os.chmod(path(name[1:]), 0o755)
            self.fails(CANNOT_LOAD, "--root", ".", name, says=name)

    def test_closed_cache_directory(self):
        user = self.as_nobody()
        os.mkdir(path("caches"))
        self.runs("--root", WORK, "--cache-dir", "caches", "--cache-write", "/prog")
        before = sorted(os.listdir(path("caches")))
        self.assertTrue(before)
        for mode, says in ((0o000, "Permission denied"), (0o700, "Permission denied")):
            os.chmod(path("caches"), mode)
            self.fails(FAILED, "--root", WORK, "--cache-dir", "caches", "/prog", says=("--cache-dir: caches", says), **user)
        os.chmod(path("caches"), 0o555)
        self.runs("--root", WORK, "--cache-dir", "caches", "/prog", **user)
        self.assertEqual(sorted(os.listdir(path("caches"))), before)

    def test_full_cache_directory(self):
        if os.geteuid() != 0:
            self.skipTest("only root can mount a small tmpfs")
        os.makedirs(path("small"), exist_ok=True)
        script = ('mount -t tmpfs -o size=16k none small || exit 77; cat /dev/zero >small/filler 2>/dev/null; "$@"; code=$?; '
                  'find small -type f ! -name filler; exit $code')
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", VXRUN, "--root", ".", "--cache-dir", "small", "--cache-write", "/prog"],
                              cwd=WORK, capture_output=True, check=False)
        if done.returncode in (1, 77) and b"vxrun" not in done.stderr:
            self.skipTest("cannot mount a tmpfs here: " + done.stderr.decode())
        self.assertEqual((done.returncode, done.stdout), (GUEST, b"hello\n"), done.stderr)
        self.assertRegex(done.stderr.decode(), r"^vxrun: small: cannot write caches: .*No space left on device\n$")


class Memory(Case):
    def limited(self, mebibytes, *arguments):
        def limit():
            resource.setrlimit(resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20))
        return vxrun(*arguments, preexec_fn=limit)

    def test_no_memory(self):
        """With ever more address space: refused for want of it, with a message, until there is enough; then right."""
        if is_sanitized():
            self.skipTest("AddressSanitizer itself needs more")
        for arguments in (["prog"], ["prog.vxc"], ["--no-cache", "prog"]):
            seen = []
            least, most = 4, 1 << 20 # what the window needs, found by halving
            while most - least > 1:
                middle = (least + most) // 2
                if self.limited(middle, *arguments).returncode == GUEST:
                    most = middle
                else:
                    least = middle
            for mebibytes in (4, 8, 64, 1024, 4096, 9000, *range(least - 400, least + 40, 8), *range(least - 6, least + 6)):
                done = self.limited(mebibytes, *arguments)
                seen.append(done.returncode)
                if done.returncode == GUEST:
                    self.assertEqual((done.stdout, done.stderr), (b"hello\n", b""))
                    continue
                self.assertEqual(done.returncode, FAILED, (mebibytes, done.stderr))
                self.assertEqual(done.stdout, b"")
                self.assertRegex(done.stderr.decode(), r"^(vxrun: )?prog\S*: .*(memory|address space)[^\n]*\n$")
            self.assertIn(FAILED, seen)
            self.assertEqual(seen[-1], GUEST)


class Profiles(Case):
    def refused(self, name, *says):
        self.runs("--no-cache", "--profile-out", name, "prog", says=(name, "cannot write the profile", *says))

    def left(self):
        return sorted(name for name in os.listdir(WORK) if "tmp" in name or name.startswith(".vxc"))

    def test_bad_places(self):
        os.mkdir(path("directory"))
        write("text", b"something else\n")
        os.mkfifo(path("waiting"))
        self.refused("directory", "not a regular file")
        self.refused("text", "not a profile")
        self.refused("waiting", "not a regular file")
        self.refused("none/x", "No such file")
        self.refused("prog/x", "Not a directory")
        self.assertEqual(read("text"), b"something else\n")
        self.assertTrue(stat.S_ISFIFO(os.stat(path("waiting")).st_mode))
        self.assertEqual(self.left(), [])

    def test_device(self):
        """A device stays a device. (A node of our own: what is in /dev is not ours to lose.)"""
        try:
            os.mknod(path("device"), 0o666 | stat.S_IFCHR, os.makedev(1, 7))
        except OSError as error:
            self.skipTest(f"cannot make a device node: {error}")
        self.refused("device", "not a regular file")
        self.assertTrue(stat.S_ISCHR(os.stat(path("device")).st_mode))

    def test_no_permission(self):
        user = self.as_nobody()
        os.mkdir(path("locked"))
        os.chmod(path("locked"), 0o555)
        self.runs("--no-cache", "--profile-out", "locked/p", "prog", says=("locked/p", "Permission denied"), **user)
        self.assertEqual(os.listdir(path("locked")), [])

    def test_full_disk(self):
        if os.geteuid() != 0:
            self.skipTest("only root can mount a small tmpfs")
        os.makedirs(path("disk"), exist_ok=True)
        script = ('mount -t tmpfs -o size=16k none disk || exit 77; printf "vx-profile 1 old\\n" >disk/p; '
                  'cat /dev/zero >disk/filler 2>/dev/null; "$@"; code=$?; ls -A disk; cat disk/p; exit $code')
        done = subprocess.run(["unshare", "-m", "sh", "-c", script, "sh", VXRUN, "--no-cache", "--profile-out", "disk/p", "prog"],
                              cwd=WORK, capture_output=True, check=False)
        if done.returncode in (1, 77) and b"vxrun" not in done.stderr:
            self.skipTest("cannot mount a tmpfs here: " + done.stderr.decode())
        self.assertEqual(done.returncode, GUEST)
        self.assertEqual(done.stdout, b"hello\nfiller\np\nvx-profile 1 old\n")
        self.assertRegex(done.stderr.decode(), r"^vxrun: disk/p: cannot write the profile: .*No space left on device\n$")


def main():
    with open(path("prog.s"), "w", encoding="ascii") as file:
        file.write(SOURCE)
    os.chmod(WORK, 0o755)
    made = subprocess.run(["gcc", "-m32", "-nostdlib", "-static", "-no-pie", path("prog.s"), "-o", path("prog")],
                          capture_output=True, check=False)
    if made.returncode:
        print("skipped: gcc -m32 does not work here")
        return 77
    subprocess.run([VXC, "compile", "-o", path("prog.vxc"), path("prog")], check=True)
    result = unittest.main(argv=sys.argv[:1], exit=False, verbosity=1).result
    shutil.rmtree(WORK, ignore_errors=True)
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
