"""First inputs of fuzz_calls: sequences of system calls as that file reads them."""
import struct

DATA = 0x20000000
FDCWD = 0xffffff9c
OPTIONS = {"plain": 0, "mapped": 1, "root": 2, "net": 4, "fork": 8}


class Place(int):
    """An argument that points into the guest's data."""


class Result(int):
    """An argument that is what an earlier call of the sequence returned."""


def call(number, *args):
    kinds, values = [], []
    for arg in args + (0,) * (6 - len(args)):
        kinds.append(1 if isinstance(arg, Place) else 2 if isinstance(arg, Result) else 0)
        values.append(int(arg) & 0xffffffff)
    return struct.pack("<H6B6I", number, *kinds, *values)


def sequence(calls, memory=b"", options="plain"):
    return bytes([OPTIONS[options], len(calls)]) + b"".join(calls) + memory


# Where things are in memory; strings first, then structures.
NAMES = ["file", "dir/deep", "link", "out", "absolute", "dir/outside/secret", "loop", "magic/etc", "../outside/secret", "new", "prog",
         "script", "/fixed/file", "/dev/null", "/proc/self/fd/3", "/dev/fd/0", ".", "..", "dir"]
AT = {}
for name in NAMES:
    AT[name] = Place(sum(len(other) + 1 for other in AT))
STRINGS = b"".join(name.encode() + b"\0" for name in AT)
SPACE = Place(0x1000)
LIST = Place(0x400)      # two pieces: iovec, and what else has addresses and sizes
TIMES = Place(0x440)     # seconds and nanoseconds, twice
POLL = Place(0x480)
MESSAGE = Place(0x4c0)
ADDRESS = Place(0x500)
VECTOR = Place(0x540)    # argv
ACTION = Place(0x580)
BLOCK = Place(0x600)     # arguments of old calls


def memory():
    out = bytearray(0x2000)

    def put(at, *words):
        struct.pack_into(f"<{len(words)}I", out, at, *words)
    out[:len(STRINGS)] = STRINGS
    put(LIST, DATA + 0x1000, 16, DATA + 0x1100, 32)
    put(TIMES, 0, 1000, 0, 1000)
    put(POLL, 3, 5, 4, 1)
    put(MESSAGE, 0, 0, DATA + LIST, 2, DATA + 0x700, 64, 0)
    struct.pack_into("<HHI", out, ADDRESS, 2, 0x901f, 0x0100007f)
    put(VECTOR, DATA + AT["prog"], DATA + AT["file"], 0)
    put(ACTION, 0x08048100, 4, 0, 0, 0)
    put(BLOCK, DATA + 0x8000, 0x1000, 3, 0x32, 0xffffffff, 0)
    put(0x700, 16, 1, 1, 3)
    return bytes(out)


def all_numbers():
    """Each number once, twenty at a time: with pointers, and with a descriptor in front."""
    for first in range(0, 460, 20):
        numbers = range(first, first + 20)
        yield f"pointers-{first}", sequence([call(n, AT["file"], SPACE, Place(0x100), LIST, TIMES, 0) for n in numbers if n not in (1, 252)],
                                            memory())
        yield f"descriptors-{first}", sequence([call(5, AT["file"], 2), call(42, SPACE)] +
                                               [call(n, Result(0), LIST, 2, TIMES, 8, SPACE) for n in numbers if n not in (1, 6, 252)],
                                               memory())


def files():
    opens = [call(5, AT[name], flags) for name in NAMES for flags in (0, 0x10000)][:24]
    return {
        "open": opens, "open-more": [call(295, FDCWD, AT[name], 0x42, 0o644) for name in NAMES],
        "stat": [call(n, AT[name], SPACE) for name in ("out", "link", "loop", "..") for n in (106, 107, 195, 196)],
        "statx": [call(383, FDCWD, AT[name], 0x100, 0xfff, SPACE) for name in NAMES],
        "links": [call(9, AT["file"], AT["new"]), call(10, AT["new"]), call(83, AT["../outside/secret"], AT["new"]), call(5, AT["new"], 0),
                  call(85, AT["out"], SPACE, 64), call(9, AT["/fixed/file"], AT["new"]), call(38, AT["/fixed/file"], AT["file"]),
                  call(38, AT["dir"], AT["new"]), call(353, FDCWD, AT["file"], FDCWD, AT["link"], 2), call(40, AT["dir"]),
                  call(39, AT["new"], 0o755), call(14, AT["new"], 0o10644, 0), call(15, AT["/fixed/file"], 0o777)],
        "vectors": [call(5, AT["file"], 2), call(145, Result(0), LIST, 2), call(146, Result(0), LIST, 2), call(333, Result(0), LIST, 2, 0, 0),
                    call(334, Result(0), LIST, 2, 4, 0), call(140, Result(0), 0, 8, SPACE, 0), call(180, Result(0), SPACE, 100, 0, 0),
                    call(181, Result(0), SPACE, 100, 0x7fffffff, 0), call(187, Result(0), Result(0), 0, 10), call(94, Result(0), 0),
                    call(324, Result(0), 0, 0, 0, 4096, 0), call(194, Result(0), 0x10000, 0), call(221, Result(0), 4, 0x800)],
        "directory": [call(5, AT["."], 0x10000), call(220, Result(0), SPACE, 100), call(141, Result(0), SPACE, 300), call(133, Result(0)),
                      call(183, SPACE, 100), call(12, AT["dir"]), call(5, AT[".."], 0x10000), call(295, Result(0), AT["../outside/secret"], 0)],
        "descriptors": [call(42, SPACE), call(63, 0, 1000), call(330, 0, 5, 0x80000), call(41, 0), call(221, 0, 1030, 3), call(436, 3, 0xffffffff, 4),
                        call(436, 4, 8, 0), call(6, 3), call(54, 0, 0x5401, SPACE), call(55, 0, 1031, 0x7fffffff), call(143, 0, 2), call(148, 0)],
    }


def memory_calls():
    return {
        "maps": [call(5, AT["file"], 2), call(192, 0, 0x10000, 3, 0x22, 0xffffffff, 0), call(192, Place(0x8000), 0x4000, 7, 0x12, Result(0), 0),
                 call(125, Result(1), 0x1000, 5), call(163, Result(1), 0x10000, 0x20000, 1, 0), call(91, Result(1), 0xffffffff), call(90, BLOCK),
                 call(192, 0xfffff000, 0x2000, 3, 0x32, 0xffffffff, 0), call(219, Place(0), 0x10000, 4), call(218, Place(0), 0x4000, SPACE),
                 call(144, Place(0), 0x1000, 4), call(45, 0), call(45, 0x30000000), call(91, DATA, 0x8000), call(3, Result(0), SPACE, 0x20000)],
        "shared": [call(5, AT["file"], 2), call(192, Place(0x8000), 0x1000, 3, 0x11, Result(0), 0), call(93, Result(0), 0),
                   call(4, 1, Place(0x8000), 0x1000), call(240, Place(0x8000), 1, 1), call(3, 0, Place(0x8000), 4)],
        "edges": [call(4, 1, 0xfffffff0, 0x20), call(3, 0, 0xffffffff, 0xffffffff), call(5, 0xfffffffc, 0), call(146, 1, 0xfffffff8, 2),
                  call(122, 0x2000fff8), call(195, AT["file"], 0x2000fff0), call(243, 0xfffffff0), call(355, SPACE, 0x7fffffff, 0)],
    }


def others():
    return {
        "signals": [call(174, 10, ACTION, SPACE, 8), call(186, BLOCK, SPACE), call(175, 2, SPACE, TIMES, 8), call(37, 1000, 10), call(173), call(119),
                    call(179, SPACE, 8), call(177, TIMES, SPACE, TIMES, 8), call(48, 14, 1), call(27, 1), call(104, 0, TIMES, SPACE), call(29)],
        "timers": [call(259, 1, 0, SPACE), call(260, 0, 0, TIMES, SPACE), call(261, 0, SPACE), call(263, 0), call(322, 1, 0),
                   call(325, Result(4), 0, TIMES, SPACE), call(3, Result(4), SPACE, 8), call(162, TIMES, SPACE), call(267, 1, 1, TIMES, SPACE)],
        "waits": [call(42, SPACE), call(168, POLL, 2, 0), call(309, POLL, 2, TIMES, 0, 0), call(142, 8, SPACE, 0, 0, TIMES), call(82, BLOCK),
                  call(329, 0), call(255, Result(5), 1, 3, POLL), call(319, Result(5), SPACE, 4, 0, 0, 0), call(240, SPACE, 0, 0, TIMES),
                  call(168, POLL, 0xffffffff, 0), call(256, Result(5), SPACE, 4, 0xffffffff)],
        "pairs": [call(360, 1, 1, 0, SPACE), call(370, 3, MESSAGE, 0), call(372, 4, MESSAGE, 0x40), call(345, 3, MESSAGE, 1, 0),
                  call(337, 4, MESSAGE, 1, 0x40, TIMES), call(369, 3, SPACE, 100, 0, 0, 0), call(371, 4, SPACE, 100, 0x40, ADDRESS, LIST),
                  call(366, 3, 1, 7, SPACE, 4), call(365, 3, 1, 7, SPACE, LIST), call(373, 3, 1), call(102, 8, BLOCK)],
        "threads": [call(243, BLOCK), call(244, BLOCK), call(120, 0x3d0f00, Place(0x9000), SPACE, BLOCK, TIMES), call(258, SPACE), call(311, SPACE, 12),
                    call(240, SPACE, 5, 1, 1, Place(0x1004), 0x10000000), call(270, 1000, 1000, 10), call(1, 0)],
    }


def with_options():
    yield "execve", sequence([call(11, AT["script"], VECTOR, VECTOR), call(5, AT["file"], 0), call(358, FDCWD, AT["prog"], VECTOR, 0, 0),
                              call(358, Result(1), AT["prog"], VECTOR, 0, 0x1000), call(2), call(114, 0xffffffff, 0, 1, 0)], memory(), "fork")
    write_program = [call(5, AT["new"], 0x42, 0o755), call(4, Result(0), Place(0), 0x200), call(6, Result(0)), call(11, AT["new"], VECTOR, 0)]
    yield "own-program", sequence(write_program, memory(), "fork")
    address = [call(359, 2, 1, 0), call(361, Result(0), ADDRESS, 16), call(363, Result(0), 5), call(362, Result(0), ADDRESS, 16),
               call(364, Result(0), SPACE, LIST, 0x800), call(367, Result(0), SPACE, LIST), call(369, Result(0), SPACE, 10, 0, ADDRESS, 16)]
    yield "net", sequence(address, memory(), "net")
    for name, calls in files().items():
        yield "root-" + name, sequence(calls, memory(), "root")
    yield "mapped", sequence(memory_calls()["maps"], memory(), "mapped")


def seeds():
    """(name, bytes) of each."""
    yield from all_numbers()
    for group in (files(), memory_calls(), others()):
        for name, calls in group.items():
            yield name, sequence(calls[:24], memory())
    yield from with_options()
