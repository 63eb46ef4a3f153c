#!/usr/bin/env python3
"""Benchmark every guest of the corpus: native, from the cache, without a cache.

usage: corpus/bench/run.py [OPTION]... [GUEST]...

  --build DIR    where bin/vxc and bin/vxrun are (default: build)
  --corpus DIR   where the corpus is fetched and built (default: BUILD/corpus)
  --runs N       runs of each guest in each way (default: 5)
  --scale X      multiplies the work of each guest, about a second natively (default: 1)
  --cpu N        run on this processor (default: the last one allowed)
  --before DIR   another build, say of an earlier version: it runs cached and uncached in the same rounds; the
                 table then has this build's time / that one's, from the least time of each
  --json FILE    also write every single measurement to FILE ("-": standard output)
  --list         print the guests of the benchmark and end

All ways run the same file on the same work, pinned to one processor, one after the other, again and again:
native, cached, uncached, native, ... for each guest. In each run the outputs must agree. Time is
processor time of the process, user and system. A ratio is the median over the runs of (this way / the native run beside it), so
that what disturbs the machine for a while disturbs both sides. "Cached" is vxrun --no-dynamic with a cache
made before; "uncached" is vxrun --no-cache, so that it includes all translation.

Exit status: 0 measured, 1 an output differs or a program fails, 2 usage, 77 no corpus here.
"""
import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.dirname(HERE)
WAYS = ("native", "cached", "uncached")
BEFORE = ("cached before", "uncached before")
START_RUNS = 40
HELLO = b'#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'


def parse():
    parser = argparse.ArgumentParser(usage=__doc__.split("usage: ", 1)[1].rstrip(), add_help=False)
    parser.add_argument("guests", nargs="*")
    parser.add_argument("--build", default=os.path.join(CORPUS, "..", "build"))
    parser.add_argument("--corpus")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--cpu", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--before")
    parser.add_argument("--json")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--help", "-h", action="store_true")
    options = parser.parse_args()
    if options.help:
        print(__doc__.strip())
        sys.exit(0)
    if options.runs < 1 or options.scale <= 0 or options.cpu not in os.sched_getaffinity(0):
        parser.error("--runs, --scale or --cpu is out of range")
    options.corpus = options.corpus or os.path.join(options.build, "corpus")
    return parser, options


def table():
    """Name, count and options of the guests that are benchmarks, for vxc compile and vxrun."""
    with open(os.path.join(CORPUS, "guests", "guests.txt"), encoding="ascii") as lines:
        rows = [line.split() for line in lines if line.strip() and line[0] != "#"]
    return [(row[0], int(row[4]), ["--cpu", "avx2"] if "@avx2" in row[3].split(",") else [])
            for row in rows if row[4] != "-"]


def has_avx2():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        return {"avx2", "fma", "bmi2"} <= set(info.read().split())


def measure(command, cpu):
    """Run once. A dict of user, system and wall seconds, and the output and exit code."""
    with tempfile.TemporaryFile() as output:
        start = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output,
                                   preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        result = (output.read(), process.returncode)
    return {"user": usage.ru_utime, "system": usage.ru_stime, "wall": wall}, result


def seconds(run):
    return run["user"] + run["system"]


class Guest:
    """One program in its three ways, and what was measured."""

    def __init__(self, name, program, arguments, tools, scratch, level=6, cpu=(), before=None):
        vxc, vxrun = tools
        self.name, self.arguments, self.before = name, arguments, None
        cache = os.path.join(scratch, name + ".vxc")
        start = time.monotonic()
        subprocess.run([vxc, "compile", *cpu, "-j1", "--level", str(level), "-o", cache, program], check=True)
        self.compile_seconds = time.monotonic() - start
        info = subprocess.run([vxc, "info", "--json", cache], check=True, capture_output=True).stdout
        self.info = json.loads(info)
        self.commands = {"native": [program], "cached": [vxrun, "--no-dynamic", cache], "uncached": [vxrun, "--no-cache", *cpu, program]}
        if before:
            self.before = Guest(name, program, arguments, before, os.path.join(scratch, "before"), level, cpu)
            self.commands.update(zip(BEFORE, (self.before.commands[way] for way in WAYS[1:])))
        self.runs = {way: [] for way in self.commands}

    def round(self, cpu):
        """One run each way, next to each other. None, or how one of them differs."""
        expected = None
        for way, command in self.commands.items():
            run, result = measure(command + self.arguments, cpu)
            self.runs[way].append(run)
            expected = expected or result
            if result != expected or result[1] != 0:
                return f"{self.name}: {way}: exit {result[1]}, output {result[0][-60:]!r} instead of {expected[0][-60:]!r}"
        return None

    def median(self, way, value=seconds):
        return statistics.median(map(value, self.runs[way]))

    def ratio(self, way):
        return statistics.median(seconds(a) / seconds(b) for a, b in zip(self.runs[way], self.runs["native"]))

    def least(self, way):
        return min(map(seconds, self.runs[way]))

    def change(self):
        """This build's time / the other's, cached and uncached."""
        return tuple(self.least(way) / self.least(before) for way, before in zip(WAYS[1:], BEFORE))

    def report(self):
        return {"name": self.name, "arguments": self.arguments, "compile_seconds": self.compile_seconds,
                "growth": self.info["growth"], "guest_code_bytes": self.info["guest_code_bytes"],
                "cache_bytes": self.info["file_bytes"], "guest_bytes": self.info["guest_bytes"],
                "ratio": {way: self.ratio(way) for way in WAYS[1:]}, "runs": self.runs}


def geometric_mean(values):
    return math.exp(statistics.fmean(map(math.log, values)))


def print_table(guests, out):
    print(f"{'guest':<15}{'native s':>9}{'cached':>8}{'uncached':>9}{'growth':>8}{'guest KiB':>11}{'cache KiB':>11}", file=out)
    for guest in guests:
        print(f"{guest.name:<15}{guest.median('native'):>9.3f}{guest.ratio('cached'):>8.3f}{guest.ratio('uncached'):>9.3f}"
              f"{guest.info['growth']:>8.2f}{guest.info['guest_bytes'] / 1024:>11.0f}"
              f"{guest.info['file_bytes'] / 1024:>11.0f}", file=out)
    if guests:
        cached, uncached = ([guest.ratio(way) for guest in guests] for way in WAYS[1:])
        growth = [guest.info["growth"] for guest in guests]
        print(f"{'geometric mean':<15}{'':>9}{geometric_mean(cached):>8.3f}{geometric_mean(uncached):>9.3f}"
              f"{geometric_mean(growth):>8.2f}", file=out)
        print(f"{'highest':<15}{'':>9}{max(cached):>8.3f}{max(uncached):>9.3f}{max(growth):>8.2f}", file=out)


def print_change(guests, out):
    print(f"\n{'this / before':<15}{'cached':>8}{'uncached':>9}{'growth':>8}", file=out)
    changes = [(*guest.change(), guest.info["growth"] / guest.before.info["growth"]) for guest in guests]
    for guest, change in zip(guests, changes):
        print(f"{guest.name:<15}{change[0]:>8.3f}{change[1]:>9.3f}{change[2]:>8.3f}", file=out)
    means = [geometric_mean(column) for column in zip(*changes)]
    print(f"{'geometric mean':<15}{means[0]:>8.3f}{means[1]:>9.3f}{means[2]:>8.3f}", file=out)


def print_start(starts, out):
    """From exec to exit of a program that greets: what opening, loading and verifying cost."""
    for hello in starts:
        wall = {way: hello.median(way, lambda run: run["wall"]) * 1e3 for way in WAYS}
        print(f"start and end of {hello.name}: native {wall['native']:.2f} ms, cached {wall['cached']:.2f} ms, "
              f"uncached {wall['uncached']:.2f} ms (wall, median of {len(hello.runs['native'])})", file=out)


def progress(text):
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" + text)
        sys.stderr.flush()


def run_all(guests, rounds, cpu):
    """All rounds; the round is the outer loop, so that one guest's runs are spread over the time. True: all agree."""
    for number in range(rounds):
        for guest in guests:
            progress(f"round {number + 1} of {rounds}: {guest.name}")
            wrong = guest.round(cpu)
            if wrong:
                progress("")
                print(wrong, file=sys.stderr)
                return False
    progress("")
    return True


def prepare(options, scratch, tools, before):
    """The wanted guests; and those that only start, from a compressed and a stored cache."""
    guests = []
    avx2 = has_avx2()
    for name, count, cpu in table():
        program = os.path.join(options.corpus, "bin", name)
        if options.guests and name not in options.guests:
            continue
        if not os.path.exists(program):
            print(f"{name}: not built, left out", file=sys.stderr)
            continue
        if cpu and not avx2:
            print(f"{name}: no AVX2 here, left out", file=sys.stderr)
            continue
        arguments = [str(max(1, round(count * options.scale)))]
        try:
            guests.append(Guest(name, program, arguments, tools, scratch, cpu=cpu, before=before))
        except subprocess.CalledProcessError:
            if not before:
                raise
            print(f"{name}: not for the build before, left out", file=sys.stderr)
    program = os.path.join(scratch, "hello")
    subprocess.run(["gcc", "-m32", "-O2", "-static", "-x", "c", "-", "-o", program], input=HELLO, check=True)
    starts = [Guest("static hello", program, [], tools, scratch, before=before),
              Guest("static hello, --level 0", program, [], tools, scratch, level=0, before=before)]
    return guests, starts


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "?")
    return {"processor": model, "kernel": platform.release(), "load": os.getloadavg()[0]}


def tools_of(parser, build):
    tools = [os.path.abspath(os.path.join(build, "bin", tool)) for tool in ("vxc", "vxrun")]
    if not all(map(os.path.exists, tools)):
        parser.error(f"no vxc and vxrun in {build}/bin: build first")
    return tools


def main():
    parser, options = parse()
    names = [name for name, _, _ in table()]
    if options.list:
        print("\n".join(names))
        return 0
    unknown = set(options.guests) - set(names)
    if unknown:
        parser.error("not in the benchmark: " + " ".join(sorted(unknown)))
    tools, before = tools_of(parser, options.build), options.before and tools_of(parser, options.before)
    for script in ("fetch.sh", "build.sh"):
        code = subprocess.run([os.path.join(CORPUS, script), options.corpus], check=False, stdout=sys.stderr).returncode
        if code not in (0, 77):
            return 1
    if code == 77:
        return 77
    about = machine()
    with tempfile.TemporaryDirectory(prefix="vx-bench-") as scratch:
        os.mkdir(os.path.join(scratch, "before"))
        guests, starts = prepare(options, scratch, tools, before)
        if not run_all(guests, options.runs, options.cpu) or not run_all(starts, START_RUNS, options.cpu):
            return 1
    text_to = sys.stderr if options.json == "-" else sys.stdout
    print(f"{about['processor']}, Linux {about['kernel']}, load {about['load']:.1f} at the start; "
          f"{options.runs} runs, scale {options.scale:g}; ratios to native = 1\n", file=text_to)
    print_table(guests, text_to)
    print_start(starts, text_to)
    if before:
        print_change(guests + starts, text_to)
    if options.json:
        report = {"schema": "vx-bench-1", "machine": about, "runs": options.runs, "scale": options.scale,
                  "guests": [guest.report() for guest in guests], "start": [hello.report() for hello in starts]}
        with (sys.stdout if options.json == "-" else open(options.json, "w", encoding="utf-8")) as out:
            json.dump(report, out, indent=1)
            out.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
