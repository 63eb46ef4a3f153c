#!/usr/bin/env python3
"""Benchmark Debian's i386 programs, dynamically linked: native, and vxrun --root with a warm cache directory.

usage: corpus/bench/programs.py [OPTION]... [PROGRAM]...

  --build DIR    where bin/vxc and bin/vxrun are (default: build)
  --corpus DIR   where corpus/fetch.sh puts the tree (default: BUILD/corpus)
  --runs N       runs of each program each way (default: 3)
  --list         print the programs and end

The first run makes the caches of the tree in CORPUS/cache (vxc compile --tree). Each program is run natively below the same
tree, then by vxrun, again and again, with the same input; their outputs must agree. Time is processor time, user and
system, of the program and its children. A ratio is the median over the runs. The line at the end is
the geometric mean of the ten that run longest natively.

Exit status: 0 measured, 1 an output differs or a program fails, 2 usage, 77 no tree, or no native runs below another root here.
"""
import argparse
import math
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests"))
import dynamic_cases  # noqa: E402: inputs that the tests make too
import dynamic_test  # noqa: E402

LONGEST = 10
PYTHON = r"""
import json, re, math, hashlib, collections
words = open('in.text').read().split()
c = collections.Counter(words * 4)
print(c.most_common(3))
d = [{'id': i, 'v': i * 1.5, 's': str(i) * 3} for i in range(30000)]
print(len(json.dumps(json.loads(json.dumps(d)))))
print(sum(len(re.sub(r'(a|e)(\w)', r'\2\1', w)) for w in words[:60000]))
sieve = bytearray([1]) * 1000000
for i in range(2, 1000):
    if sieve[i]: sieve[i * i::i] = bytes(len(range(i * i, 1000000, i)))
print(sum(sieve))
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
print(fib(25), 3 ** 20000 % 10007, sum(math.sin(i) for i in range(200000)))
"""
PERL = r"""
open my $in, '<', 'in.text'; my %n; my $t = '';
while (<$in>) { $n{$_}++ for split; $t .= $_ if /delta|\d+5/; }
my $s = 0; for my $i (1 .. 2000000) { $s = ($s * 31 + $i) % 1000003 }
(my $u = $t) =~ s/(\w+) (\w+)/$2 $1/g;
print join(',', map { "$_=$n{$_}" } grep { /^[a-z]/ } sort keys %n), " $s ", length $u, "\n";
"""
LUA = r"""
local t, s = {}, 0
for i = 1, 300000 do t[i] = (i * 7919) % 100003 end
table.sort(t)
for i = 1, 8000000 do s = (s + i * 3) % 1000003 end
local w = {} for line in io.lines('in.text') do for x in line:gmatch('%a+') do w[x] = (w[x] or 0) + 1 end end
print(t[1000], s, w.alpha, #string.rep('ab', 1000):gsub('b', 'ccc'))
"""
SQL = """create table t(id integer primary key, k integer, v text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 200000) insert into t select i, i * 7919 % 10007, 'value ' || (i * 31 % 997) from n;
create index t_k on t(k); select count(*), sum(k), max(v) from t;
select v, count(*), sum(k) from t group by v order by 2 desc, 1 limit 5; select sum(a.id) from t a join t b on a.k = b.k where a.k < 40;
"""
PROGRAMS = {
    "python3": ("python3 p.py", {"p.py": PYTHON}),
    "perl": ("perl p.pl", {"p.pl": PERL}),
    "lua5.4": ("lua5.4 p.lua", {"p.lua": LUA}),
    "gawk": ("gawk '{for (i = 1; i <= NF; i++) {n[$i]++; s += length($i) * (i % 3)}} /delta.*root/ {d++} "
             "END {print length(n), s, d; for (i = 0; i < 3000000; i++) x = (x * 5 + i) % 10007; print x}' in.text", {}),
    "sqlite3": ("sqlite3 :memory: < p.sql", {"p.sql": SQL}),
    "jq": ("jq -c '[.[] | select(.id % 3 == 1) | {id, n: (.name | ascii_upcase), t: (.tags | join(\"-\"))}] | (length, (map(.id) | add))' in.json", {}),
    "bc": ("echo 'scale=1500; 4*a(1); e(1)' | bc -l", {}),
    "xz": ("xz -6 -c in.text | md5sum", {}),
    "bzip2": ("bzip2 -9 -c in.text > t.bz2; bzip2 -dc t.bz2 | md5sum", {}),
    "zstd": ("zstd -q -15 -c in.text | md5sum", {}),
    "brotli": ("brotli -q 9 -c in.text | md5sum", {}),
    "openssl": ("openssl enc -chacha20 -K 00 -iv 00 -in in.wav 2>/dev/null | openssl dgst -sha3-256; openssl dgst -md5 in.wav; openssl genrsa 2048 2>/dev/null | wc -l", {}),
    "flac": ("flac --totally-silent -8 -c in.wav | md5sum", {}),
    "oggenc": ("oggenc -Q --serial 1 -q 4 -o - in.wav | md5sum", {}),
    "opusenc": ("opusenc --quiet --serial 1 --bitrate 64 in.wav o.opus; wc -c < o.opus", {}),
    "cwebp": ("cwebp -quiet -m 6 -q 75 in.ppm -o - | md5sum", {}),
    "cjpeg": ("for i in 1 2 3 4 5 6; do cjpeg -progressive -optimize -quality 8$i in.ppm | md5sum; done", {}),
    "git": ("git init -q r; cd r; split -l 100 ../in.text f; git add . ; git -c user.name=a -c user.email=b commit -q -m x; git gc -q --aggressive; git log -p | wc -l", {}),
}
INPUTS = {"in.text": lambda: dynamic_cases.text(60000), "in.wav": lambda: dynamic_cases.wave(40),
          "in.ppm": lambda: dynamic_cases.picture(1400, 1000), "in.json": lambda: dynamic_cases.json_text(60000)}


def parse():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ", 1)[1].rstrip(), add_help=False)
    parser.add_argument("programs", nargs="*")
    parser.add_argument("--build", default=os.path.join(TOP, "build"))
    parser.add_argument("--corpus")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--help", "-h", action="store_true")
    options = parser.parse_args()
    if options.help:
        print(__doc__.strip())
        sys.exit(0)
    if options.runs < 1 or any(name not in PROGRAMS for name in options.programs):
        parser.error("no such program, or --runs is out of range")
    options.corpus = options.corpus or os.path.join(options.build, "corpus")
    return options


def timed(function, *arguments):
    """Processor seconds of the children that a call waits for, and its result."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = function(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime, result


def one_program(vxrun, tree, cache, name, runs):
    """Native seconds, and ratios."""
    command, files = PROGRAMS[name]
    times, ratios = [], []
    work = tree + dynamic_test.GUEST_DIR
    for _ in range(runs):
        results = []
        for way in (dynamic_test.native, lambda *a: dynamic_test.sandboxed(vxrun, *a, options=("--cache-dir", cache))):
            shutil.rmtree(work, ignore_errors=True)
            os.makedirs(work)
            for file, text in files.items():
                with open(os.path.join(work, file), "w", encoding="ascii") as out:
                    out.write(text)
            for file, make in INPUTS.items():
                if file in command or any(file in text for text in files.values()):
                    with open(os.path.join(work, file), "wb") as out:
                        out.write(make())
            results.append(timed(way, tree, ["/bin/dash", "-c", command]))
        (native_time, native), (ours_time, ours) = results
        if native[1] != 0 or ours[:2] != native[:2]:
            print(f"{name}: {ours} instead of {native}")
            sys.exit(1)
        times.append(native_time)
        ratios.append(ours_time / native_time)
    return statistics.median(times), statistics.median(ratios)


def main():
    options = parse()
    if options.list:
        print("\n".join(PROGRAMS))
        return 0
    tools = os.path.join(os.path.abspath(options.build), "bin")
    source = dynamic_test.fetch_tree(options.corpus)
    cache = os.path.join(os.path.abspath(options.corpus), "cache")
    done = subprocess.run([os.path.join(tools, "vxc"), "compile", "--tree", source, "-o", cache, "-j", str(os.cpu_count())],
                          capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1): # 1: some files of a tree are no programs for us
        print(done.stderr)
        return 1
    scratch = tempfile.mkdtemp(prefix="vx-programs-", dir=os.path.abspath(options.corpus))
    tree = os.path.join(scratch, "tree")
    rows = []
    try:
        subprocess.run(["cp", "-al", source, tree], check=True)
        print(f"{'program':<12}{'native s':>10}{'ratio':>8}")
        for name in options.programs or PROGRAMS:
            rows.append((*one_program(os.path.join(tools, "vxrun"), tree, cache, name, options.runs), name))
            print(f"{name:<12}{rows[-1][0]:>10.2f}{rows[-1][1]:>8.3f}", flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    longest = sorted(rows, reverse=True)[:LONGEST]
    mean = math.exp(statistics.fmean(math.log(ratio) for _, ratio, _ in longest))
    print(f"geometric mean of the {len(longest)} longest: {mean:.3f}, highest {max(ratio for _, ratio, _ in longest):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
