#!/usr/bin/env python3
"""Every guest of the corpus, against itself run natively.

    tests/corpus_test.py BIN-DIR CORPUS-DIR [NAME...]

BIN-DIR holds vxc and vxrun. CORPUS-DIR is where corpus/fetch.sh and
corpus/build.sh put packages and programs; both are run first (they do nothing
if all is there). Each guest must give its native output and exit code from its cache
with --no-dynamic, and without a cache. Guests that write code are run from
the cache with translation allowed, and must be refused with --no-dynamic. Guests of
AVX2 code run with --cpu avx2, where the machine has AVX2.
Debian's static shells then run a script. One line a guest; the last line is
"N passed, N failed, N skipped". Exit 0 passed, 1 failed, 77 nothing to run.
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, "..", "corpus")
TIMEOUT_SECONDS = 120
EXIT_VXRUN = 125

SCRIPT = r"""
cd /work
seq 1 40 | sed 's/3/three/' >numbers
grep -c three numbers
sort -r numbers | head -n 3
cut -c1-2 numbers | uniq | wc -l
awk '{ total += $1 } END { print "total", total }' numbers
tr a-z A-Z <numbers | tail -n 2
mkdir -p one/two && cp numbers one/two/copy && mv one/two/copy one/moved
ls one
md5sum one/moved | cut -d' ' -f1
cat one/moved | gzip -c | gzip -dc | cmp - numbers && echo same
for i in 1 2 3; do x=$((x + i * i)); done; echo "x=$x"
case $(expr 6 \* 7) in 42) echo yes;; *) echo no;; esac
f() { local depth=$1; [ $depth -gt 0 ] && { echo -n "$depth "; f $((depth - 1)); }; return 7; }
f 5; echo "returned $?"
find . -type f | sort
rm -r one && ls
printf '%s|%5d|%x\n' text 42 255
echo "b a c" | xargs -n 1 echo | sort
(exit 3); echo "status $?"
trap 'echo leaving' EXIT
test -f numbers && exit 5
"""


def run(command, **options):
    """Output, exit code and the last line of the errors of a command."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=TIMEOUT_SECONDS, **options)
    except subprocess.TimeoutExpired:
        return b"", None, "no end after %d s" % TIMEOUT_SECONDS
    errors = done.stderr.decode(errors="replace").strip().splitlines()
    return done.stdout, done.returncode, errors[-1] if errors else ""


def has_avx2():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        return {"avx2", "fma", "bmi2"} <= set(info.read().split())


def difference(native, other):
    """None if output and exit code agree, else what is wrong, in a few words."""
    if other[1] != native[1]:
        return "exit %s instead of %s: %s" % (other[1], native[1], other[2])
    if other[0] != native[0]:
        return "output %r instead of %r" % (other[0][-80:], native[0][-80:])
    return None


class Corpus:
    def __init__(self, bin_dir, corpus_dir, scratch):
        self.vxc = os.path.join(bin_dir, "vxc")
        self.vxrun = os.path.join(bin_dir, "vxrun")
        self.dir, self.scratch = corpus_dir, scratch
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}

    def say(self, verdict, name, text=""):
        self.counts[verdict] += 1
        print("%-7s %s%s" % (verdict, name, ": " + text if text else ""), flush=True)

    def compile(self, program, name, cpu):
        cache = os.path.join(self.scratch, name + ".vxc")
        done = run([self.vxc, "compile"] + cpu + ["-o", cache, program])
        return cache, None if done[1] == 0 else "vxc compile: exit %s: %s" % done[1:]

    def guest(self, name, flags):
        program = os.path.join(self.dir, "bin", name)
        if not os.path.exists(program):
            return self.say("skipped", name, "not built")
        writes_code = "@writes-code" in flags
        cpu = ["--cpu", "avx2"] if "@avx2" in flags else []
        if cpu and not has_avx2():
            return self.say("skipped", name, "no AVX2 here")
        cache, wrong = self.compile(program, name, cpu)
        if wrong:
            return self.say("failed", name, wrong)
        native = run([program])
        if native[1] != 0:
            return self.say("failed", name, "native: exit %s: %s" % native[1:])
        plain = run([self.vxrun, "--no-dynamic", cache])
        ways = [("no cache", run([self.vxrun, "--no-cache"] + cpu + [program]))]
        if writes_code:
            ways.append(("cached", run([self.vxrun, cache])))
            if plain[1] != EXIT_VXRUN:
                wrong = "--no-dynamic ran code that no cache can hold: exit %s" % plain[1]
        else:
            ways.append(("cached", plain))
        for way, result in ways:
            found = difference(native, result)
            wrong = "%s: %s" % (way, found) if found and not wrong else wrong
        os.unlink(cache)
        return self.say("failed" if wrong else "passed", name, wrong or "")

    def shell(self, name, program, shell):
        """A shell script of twenty lines and as many applets, natively and boxed."""
        root = os.path.join(self.dir, "root")
        busybox = os.path.join(root, "bin", "busybox")
        if not os.path.exists(os.path.join(root, program)) or not os.path.exists(busybox):
            return self.say("skipped", name, "not fetched")
        results = []
        for way in ("native", "cached", "no cache"):
            home = os.path.join(self.scratch, "%s-%s" % (name, way.replace(" ", "-")))
            results.append((way, self.shell_once(home, program, shell, busybox, way)))
        for way, result in results[1:]:
            found = difference(results[0][1], result)
            if found:
                return self.say("failed", name, "%s: %s" % (way, found))
        if results[0][1][1] != 5:
            return self.say("failed", name, "the script itself: %s" % (results[0][1],))
        return self.say("passed", name)

    def shell_once(self, home, program, shell, busybox, way):
        # The script sees the same tree in both worlds: /bin and /work. Natively
        # the applets are found by PATH, and the first line finds the directory.
        tools, work = os.path.join(home, "bin"), os.path.join(home, "work")
        os.makedirs(tools)
        os.makedirs(work)
        source = os.path.join(self.dir, "root", program)
        own = os.path.join(tools, os.path.basename(program))
        for path, copy in ((busybox, os.path.join(tools, "busybox")), (source, own)):
            if not os.path.exists(copy):
                with open(path, "rb") as old, open(copy, "wb") as new:
                    new.write(old.read())
                os.chmod(copy, 0o755)
        for applet in subprocess.run([busybox, "--list"], stdout=subprocess.PIPE,
                                     check=True).stdout.decode().split():
            if applet != "busybox":
                os.symlink("busybox", os.path.join(tools, applet))
        if way == "native":
            text = SCRIPT.replace("cd /work", "cd " + work)
            return run([own] + shell + [text], env={"PATH": tools}, cwd=work)
        command = [self.vxrun, "--allow-fork", "--env", "PATH=/bin", "--dir", "/=" + home]
        if way == "cached":
            for path in {own, os.path.join(tools, "busybox")}:
                done = run([self.vxc, "compile", "-o", path + ".vxc", path])
                if done[1] != 0:
                    return done
            command.append("--no-dynamic")
        else:
            command.append("--no-cache")
        return run(command + [own] + shell + [SCRIPT])


def main(arguments):
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    bin_dir, corpus_dir, names = arguments[0], arguments[1], arguments[2:]
    for script in ("fetch.sh", "build.sh"):
        done = subprocess.run([os.path.join(CORPUS, script), corpus_dir], check=False)
        if done.returncode not in (0, 77):
            print("%s: exit %d" % (script, done.returncode), file=sys.stderr)
            return 1
    if done.returncode == 77:
        return 77
    with open(os.path.join(CORPUS, "guests", "guests.txt"), encoding="ascii") as table:
        rows = [line.split() for line in table if line.strip() and line[0] != "#"]
    with tempfile.TemporaryDirectory(prefix="vx-corpus-") as scratch:
        corpus = Corpus(os.path.abspath(bin_dir), os.path.abspath(corpus_dir), scratch)
        for row in rows:
            if not names or row[0] in names:
                corpus.guest(row[0], row[3].split(","))
        shells = {"busybox": ("bin/busybox", ["sh", "-c"]), "bash": ("bin/bash-static", ["-c"])}
        for name, (program, shell) in shells.items():
            if not names or name in names:
                corpus.shell(name, program, shell)
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % corpus.counts)
    return 1 if corpus.counts["failed"] else 0 if corpus.counts["passed"] else 77


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
