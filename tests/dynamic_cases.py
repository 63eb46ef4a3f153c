"""The cases of dynamic_test.py: a script each, and the input files that it works on.

Scripts run in a directory that holds the inputs, which are made here and are the same every time.
They must not use /proc, the clock or more than one thread, so that a native run gives the same.
"""
import collections
import math
import random
import struct

Case = collections.namedtuple("Case", "name script interpreter fails hide_files options")


def case(name, script, interpreter="/bin/dash", fails=False, hide_files=False, options=()):
    return Case(name, script.lstrip("\n"), interpreter, fails, hide_files, options)


def text(lines):
    rng = random.Random(1)
    words = ["alpha", "beta", "gamma", "delta", "root", "Vx", "x86", "3.14", "foo", "bar,baz", "end."]
    return "".join("%d %s\n" % (i, " ".join(rng.choice(words) for _ in range(rng.randrange(2, 12))))
                   for i in range(lines)).encode()


def wave(seconds):
    rate = 44100
    samples = b"".join(struct.pack("<hh", int(12000 * math.sin(i * 0.05)), int(9000 * math.sin(i * 0.031 + i * i * 1e-7)))
                       for i in range(seconds * rate))
    return (b"RIFF" + struct.pack("<I", 36 + len(samples)) + b"WAVEfmt " +
            struct.pack("<IHHIIHH", 16, 1, 2, rate, rate * 4, 4, 16) + b"data" + struct.pack("<I", len(samples)) + samples)


def picture(width, height):
    rows = bytes((x * y // 7 + c * 40 + (x ^ y)) & 255 for y in range(height) for x in range(width) for c in range(3))
    return b"P6\n%d %d\n255\n" % (width, height) + rows


def json_text(count):
    return ("[" + ",\n".join('{"id":%d,"name":"n%d","tags":["a%d","b"],"value":%s}' % (i, i * 7 % 97, i % 5, i / 8)
                             for i in range(count)) + "]\n").encode()


INPUTS = {"text": lambda: text(4000), "wav": lambda: wave(3), "ppm": lambda: picture(320, 240),
          "json": lambda: json_text(3000)}
_made = {}


def inputs(wanted):
    """Name -> bytes of the input files that the script names as in.KIND."""
    for kind, make in INPUTS.items():
        if "in." + kind in wanted.script and kind not in _made:
            _made[kind] = make()
    return {"in." + kind: data for kind, data in _made.items() if "in." + kind in wanted.script}


CASES = [
    case("bash", r"""
set -u
shopt -s extglob nullglob
declare -A count
declare -a list=()
while read -r number rest; do
    for word in $rest; do
        (( count[$word] = ${count[$word]:-0} + 1 ))
    done
    (( number % 500 == 0 )) && list+=("$number:${rest%% *}")
done < in.text
for word in "${!count[@]}"; do printf '%s %d\n' "$word" "${count[$word]}"; done | sort
printf '<%s>\n' "${list[@]}"
function fib { local n=$1; (( n < 2 )) && { echo "$n"; return; }; echo $(( $(fib $((n-1))) + $(fib $((n-2))) )); }
fib 8
sort -k2 in.text | head -n 20 | tail -n 5 | tr a-z A-Z
cat in.text | grep -c root | { read -r n; echo "root: $n"; }
seq 1 100 | while read -r i; do (( i % 15 == 0 )) && echo "FizzBuzz $i"; done
[[ "release-1.20.3" =~ ^release-([0-9]+)\.([0-9]+) ]] && echo "${BASH_REMATCH[@]}"
text="the quick brown fox"
echo "${text^^} ${text//o/0} ${#text} ${text:4:5} ${text/%fox/dog}"
case abcabc in +(abc)) echo extglob;; esac
trap 'echo "trap USR1"' USR1
kill -USR1 $$
mkdir -p d/e/f; touch d/{a,b,c}.txt d/e/{1..5}
for f in d/*.txt; do echo "$f"; done
pushd d >log; popd >>log
exec 5>five; echo "to five" >&5; exec 5>&-
cat five
( exit 7 ); echo "status $?"
false | true; echo "${PIPESTATUS[@]}"
x=$(cat <<EOT
here $((6 * 7)) `echo nested $(echo deep)`
EOT
)
echo "$x"
printf -v padded '%08.3f|%-6s|%+d|%x|%q' 3.14159 ab 5 255 'a b'
echo "$padded"
sleep 0.05 & wait $!; echo "waited $?"
for ((i = 0; i < 3; i++)); do echo "line $i"; done > out.txt
mapfile -t lines < out.txt; echo "${#lines[@]} ${lines[-1]}"
select_test() { local -n ref=$1; ref=changed; }; v=old; select_test v; echo $v
set -- a b c; shift; echo "$# $*"
cut -d' ' -f2 in.text | sort | uniq -c | sort -rn | head -3
tee copy1 copy2 < out.txt | wc -l
cmp copy1 copy2 && echo same
rm copy1; ls
IFS=: read -r a b c <<< "1:2:3"; echo "$c$b$a"
""", "/bin/bash"),
    case("dash", r"""
i=0; while [ $i -lt 3000 ]; do i=$((i+1)); x=$((x ^ i * 7)); done; echo $x
f() { [ "$1" -gt 0 ] && { echo "$1"; f $(($1 - 1)); }; }; f 20 | sort -n | paste -sd+ | sed 's/+/ + /g'
trap 'echo bye' EXIT; set -e
grep -n delta in.text | head -4
(cd /; pwd; ls -d usr bin tmp)
printf '%s\n' *; [ -f in.text ] && echo there
echo "a:b" | { IFS=: read a b; echo $b$a; }
ls nothing 2>&1 | sed 's/^.*: //'
exit 3
""", fails=True),
    case("coreutils", r"""
sort in.text | md5sum; sort -n -r in.text | sha256sum; sort -R --random-source=in.text in.text | wc
tac in.text | cut -c1-9 | head -n 3; shuf --random-source=in.text -n 3 in.text
split -l 900 in.text part.; ls; cat part.* | cmp - in.text && echo joined
cksum in.text; sum in.text; b2sum in.text; base64 in.text | tail -n 2; od -A d -t x1z in.text | tail -n 2
join in.text in.text | wc -l; comm -12 part.aa in.text | wc -l; nl part.ae | tail -n 1; fold -w 20 in.text | wc -l
tr -s 'a-z' '*' < in.text | head -n 2; uniq -c part.aa | tail -n 1; paste part.aa part.ab | tail -n 1; expand in.text | wc -c
stat -c '%s %A %h %F' in.text; mkdir -p a/b; cp -r a c; ln -s a link; readlink -f link; mv c d; rmdir d/b d; du -b in.text
touch -d 2020-01-02T03:04:05Z when; stat -c %Y when; date -u -d @86400 +%F; ls -l --time-style=+%s when | cut -d' ' -f6-
seq -s, 5 5 50; factor 1234567890123; numfmt --to=iec 123456789; expr 7 \* 8; printf '%5.2f\n' 2.345; test 3 -gt 2; echo $?
dd if=in.text of=dd.out bs=1000 count=20 2>/dev/null; truncate -s 10 dd.out; cat dd.out; echo; basename /a/b.c .c; realpath a/..
head -c 100 in.text | tee t1 | wc -c; csplit -s in.text 100; ls; env -i A=1 env; timeout 5 echo done; chmod 640 t1; ls -l t1 | cut -c1-10
"""),
    case("text tools", r"""
sed -n '/delta/{s/delta/[&]/g;p}' in.text | head -5; sed -E 's/([0-9]+) ([a-z]+)/\2 \1/;y/abc/xyz/' in.text | md5sum
sed -e ':a;N;$!ba;s/\n/;/g' in.text | md5sum; cp in.text e; sed -i.bak '2d;$a\last' e; diff in.text e; cmp in.text e.bak && echo bak
gawk '{n[NF]++; s += $1; for (i = 2; i <= NF; i++) w[$i]++} END {PROCINFO["sorted_in"]="@ind_str_asc"; for (k in w) print k, w[k]; print s, length(n)}' in.text
gawk 'BEGIN { for (i = 0; i < 20000; i++) x = x "" (i % 10); print length(x), substr(x, 777, 9), log(3), sin(1), 2^0.5, strftime("%Y", 0) }'
gawk -F, '{gsub(/a+/, "<&>"); print toupper($1), match($0, /b.r/), RSTART}' in.text | tail -3
grep -c . in.text; grep -n -o 'b[a-z]*r' in.text | sort | uniq -c | sort -rn | head -3; grep -E -w '(foo|Vx) x86' in.text | md5sum
grep -v alpha in.text | grep -F 'bar,baz' | wc -l; grep -P '(?<=Vx )root' in.text | wc -l; echo aXb | grep -i -q AxB && echo quiet
find /usr/lib -name 'libc*' -type f | sort | head -20; find /etc -maxdepth 1 -printf '%f %y\n' | sort | head; find . -name 'e*' -exec wc -l {} +
find . -type f -print0 | xargs -0 -n 1 basename | sort; seq 1 5 | xargs -I{} echo item-{}; diff -u in.text e | tail -n +3 | head -20
busybox awk '{t += length($0)} END {print t}' in.text; busybox md5sum in.text; busybox sed -n 3p in.text
"""),
    case("archives", r"""
mkdir src; for i in 1 2 3 4 5; do head -n ${i}00 in.text > src/f$i; done; ln -s f1 src/link; ln src/f2 src/hard
tar --mtime=@1000 --sort=name --owner=0 --group=0 --numeric-owner --mode=644 -cf s.tar src; tar tvf s.tar; mkdir out; tar -C out -xf s.tar
diff -r src out/src && echo same
gzip -n -9 -c s.tar > s.gz; gzip -dc s.gz | cmp - s.tar; bzip2 -c s.tar > s.bz2; bzip2 -dc s.bz2 | cmp - s.tar
xz -6 -c s.tar > s.xz; xz -dc s.xz | cmp - s.tar; xz -l s.xz | tail -n 1
zstd --single-thread --no-asyncio -q -19 s.tar -o s.zst; zstd --no-asyncio -dc s.zst | cmp - s.tar
brotli -q 9 -o s.br s.tar; brotli -dc s.br | cmp - s.tar; tar -czf - src | tar -tzf - | sort
ls -l s.* | cut -d' ' -f5-; rm -r out
"""),
    case("perl", r"""
use strict; use warnings; use List::Util qw(sum first reduce); use Data::Dumper; use Digest::MD5 qw(md5_hex); use POSIX qw(floor fmod strftime);
open my $in, '<', 'in.text' or die; my (%count, @lines);
while (<$in>) { chomp; push @lines, $_; $count{$_}++ for split /[ ,]/; }
printf "%-8s %d\n", $_, $count{$_} for sort { $count{$b} <=> $count{$a} || $a cmp $b } grep { !/^\d+$/ } keys %count;
print md5_hex(join "\n", sort @lines), "\n", sum(map { length } @lines), "\n";
my @m = map { [split //] } qw(abc def ghi); print join('|', map { my $c = $_; join '', map { $_->[$c] } @m } 0..2), "\n";
sub ack { my ($m, $n) = @_; no warnings 'recursion'; $m == 0 ? $n + 1 : $n == 0 ? ack($m - 1, 1) : ack($m - 1, ack($m, $n - 1)) } print ack(2, 20), "\n";
my $s = "x" x 1000; $s =~ s/(x{7})/length($1)/ge; print length $s, "\n"; local $Data::Dumper::Sortkeys = 1; print Dumper({a => [1, 2, {b => undef}]});
print "sorted: @{[sort { $a <=> $b } map { ($_ * 7919) % 101 } 1..20]}\n", strftime("%Y-%m-%d", gmtime 1e9), " ", fmod(10, 3.3), " ", 10**15 / 7, "\n";
my $pid = open my $p, '-|', 'echo', 'from child' or die; print <$p>; close $p; print "status $?\n"; print `echo shell | tr a-z A-Z`;
if (my $kid = fork) { waitpid $kid, 0; print "kid ", $? >> 8, "\n" } else { exit 9 }
local $SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; 1 while 1; }; print "caught $@"; print pack('NnCa4', 1, 2, 3, 'abcd') eq "\0\0\0\1\0\2\3abcd" ? "pack\n" : "no\n";
open my $out, '>', 'perl.out' or die; print $out reverse sort @lines[0..9]; close $out; print -s 'perl.out', "\n"; print "utf8: ", length("\x{263a}\x{1f600}"), "\n";
""", "/usr/bin/perl"),
    case("python", r"""
import collections, csv, decimal, fractions, functools, hashlib, heapq, io, itertools, json, math, os, pickle, random, re, sqlite3, statistics, string, struct, subprocess, sys, tempfile, textwrap, time, zlib, bz2, lzma, unicodedata, datetime, ctypes
lines = open('in.text').read().splitlines()
words = collections.Counter(w for l in lines for w in l.split()[1:]); print(words.most_common(5))
print(hashlib.sha256('\n'.join(lines).encode()).hexdigest(), zlib.crc32(b'abc' * 999), hashlib.blake2b(b'x').hexdigest()[:16])
data = json.loads(open('in.json').read()); print(sum(d['value'] for d in data), json.dumps(data[7], sort_keys=True))
assert json.loads(json.dumps(data)) == data; assert pickle.loads(pickle.dumps(data)) == data
print(re.sub(r'(\w+) (\w+)', r'\2-\1', lines[5]), len(re.findall(r'\b[a-z]{4,}\b', ' '.join(lines))))
print(math.gamma(5.5), math.exp(1), statistics.mean(range(100)), 2 ** 521 % 1000003, fractions.Fraction(3, 7) ** 5, decimal.Decimal(2).sqrt())
random.seed(5); l = [random.random() for _ in range(20000)]; print(sum(sorted(l)[:100]), heapq.nsmallest(2, l))
@functools.lru_cache(None)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
print(fib(200), list(itertools.islice(itertools.permutations('abc'), 4)))
sieve = bytearray([1]) * 200000
for i in range(2, 450):
    if sieve[i]: sieve[i*i::i] = bytes(len(sieve[i*i::i]))
print(sum(sieve) - 2)
for c in (zlib, bz2, lzma): assert c.decompress(c.compress(b'hello' * 10000)) == b'hello' * 10000
db = sqlite3.connect(':memory:'); db.execute('create table t(a integer primary key, b text)'); db.executemany('insert into t values(?,?)', enumerate(lines))
print(db.execute("select count(*), max(length(b)) from t where b like '%delta%'").fetchone())
print(subprocess.run(['/bin/echo', 'child'], capture_output=True, text=True).stdout, os.popen('echo popen').read())
class A:
    def __init__(self): self.x = 1
    def __eq__(self, o): return isinstance(o, A) and o.x == self.x
print(A() == A(), struct.pack('<hIqd', 1, 2, 3, 4.5).hex(), textwrap.fill('word ' * 30, 40), unicodedata.name('\u263a'))
try: 1 / 0
except ZeroDivisionError as e: print('caught', e)
def gen():
    for i in range(5): got = yield i; print('got', got)
g = gen(); next(g); g.send('a'); print(datetime.date(2024, 2, 29) + datetime.timedelta(365), sys.maxsize, '%.17g' % 0.1)
print(ctypes.CDLL(None).abs(-5), ctypes.sizeof(ctypes.c_long)); pid = os.fork()
if pid == 0: os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])); import asyncio
async def work(n): await asyncio.sleep(0.01 * n); return n
async def main(): print(await asyncio.gather(*(work(i) for i in range(4))))
asyncio.run(main())
""", "/usr/bin/python3"),
    case("python tests", r"""
for m in json re math struct itertools collections string textwrap float dict set zlib heapq bisect binascii base64; do
    python3 -m unittest test.test_$m > log 2>&1; echo "$m: $? $(tail -n 1 log) $(grep '^Ran' log | sed 's/ in .*//') $(grep -E '^(FAIL|ERROR):' log | sort)"
done; rm -rf log
""", hide_files=True),
    case("python processes", r"""
cat > p.py <<'EOT'
import multiprocessing as m
def square(x): return x * x
def count(lock, value, queue):
    for i in range(200):
        with lock: value.value += 1
    queue.put(m.current_process().name)
if __name__ == '__main__':
    with m.Pool(3) as pool: print(sum(pool.map(square, range(1000))))
    lock, value, queue = m.Lock(), m.Value('i', 0, lock=False), m.Queue()
    all = [m.Process(target=count, args=(lock, value, queue), name='p%d' % i) for i in range(3)]
    for one in all: one.start()
    print(sorted(queue.get() for one in all))
    for one in all: one.join()
    print(value.value)
    manager = m.Manager(); shared = manager.dict(); shared['a'] = 1; print(dict(shared)); manager.shutdown()
EOT
TMPDIR=. python3 p.py
rm -rf p.py __pycache__
""", options=["--net=loopback", "--dir", "/dev/shm=/dev/shm"]),
    # Which tests fail, not which are skipped: those are others for root, which the native run is. Policy: one session; owners and groups do not change.
    case("python tests of files", r"""
for m in shutil tempfile pathlib posix; do
    python3 -m unittest test.test_$m > log 2>&1
    echo "$m: $(grep '^Ran' log | sed 's/ in .*//') $(grep -E '^(FAIL|ERROR):' log | grep -v -E 'test_setsid|owner|chown|group' | sort)"
done; rm -rf log @*
""", hide_files=True, options=["--net=loopback"]),
    case("lua", r"""
cat > s.lua <<'EOT'
local t = {} for l in io.lines('in.text') do for w in l:gmatch('%a+') do t[w] = (t[w] or 0) + 1 end end
local k = {} for w in pairs(t) do k[#k + 1] = w end table.sort(k) for _, w in ipairs(k) do print(w, t[w]) end
local function q(n) local c, cols, d1, d2 = 0, {}, {}, {} local function place(r) if r > n then c = c + 1 return end
for i = 1, n do if not cols[i] and not d1[r + i] and not d2[r - i + n] then cols[i], d1[r + i], d2[r - i + n] = true, true, true
place(r + 1) cols[i], d1[r + i], d2[r - i + n] = nil, nil, nil end end end place(1) return c end print(q(7))
local co = coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i * i) end end) print(co(), co(), co())
print(pcall(error, {code = 1}), select('#', 1, nil, nil), ('x'):rep(5, '-'), math.pi, string.format('%q %5.2f', 'a\nb', 1 / 3))
local s = 0 for i = 1, 300000 do s = (s + i * i) % 65521 end print(s, collectgarbage('count') > 0)
EOT
lua5.4 s.lua
"""),
    case("luajit", r"""
cat > s.lua <<'EOT'
local s = 0 for i = 1, 3000000 do s = (s + i * 7) % 65521 end print(s)
local function fib(n) if n < 2 then return n end return fib(n - 1) + fib(n - 2) end print(fib(24))
local t = {} for i = 1, 50000 do t[i] = (i * 7919) % 50021 end table.sort(t) print(t[1], t[25000], t[50000])
local ffi = require 'ffi' ffi.cdef 'typedef struct { int a; double b; } pair; int abs(int);' local a = ffi.new('pair[100]')
for i = 0, 99 do a[i].a, a[i].b = i, i / 2 end local x = 0 for r = 1, 2000 do for i = 0, 99 do x = x + a[i].a * a[i].b end end print(x, ffi.C.abs(-3))
local p = {} for l in io.lines('in.text') do for w in l:gmatch('%a+') do p[w] = (p[w] or 0) + 1 end end print(p.alpha, p.root)
local b = require 'bit' local h = 0 for i = 1, 500000 do h = b.bxor(b.rol(h, 5), i) end print(h, jit.status() ~= nil)
EOT
luajit s.lua; luajit -joff s.lua | md5sum
"""),
    case("sqlite", r"""
cat > s.sql <<'EOT'
pragma synchronous = off;
create table t(id integer primary key, k integer, v text, r real);
begin; with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000) insert into t select i, i * 7919 % 10007, 'value ' || (i * 31 % 997), i / 3.0 from n; commit;
create index t_k on t(k); create index t_v on t(v);
select count(*), sum(k), max(v), round(avg(r), 6) from t; select k, count(*) c from t group by k order by c desc, k limit 5;
select v, sum(k) over (partition by v order by id) from t where v = 'value 5' limit 5;
update t set v = upper(v) where k % 100 = 3; delete from t where id % 1000 = 0; select count(*) from t where v glob 'VALUE*';
select a.id, b.id from t a join t b on a.k = b.k and a.id < b.id where a.k = 77 limit 5; pragma integrity_check; vacuum; select count(*) from t;
select json_extract('{"a":[1,2]}', '$.a[1]');
EOT
sqlite3 test.db < s.sql; sqlite3 test.db .schema
"""),
    case("jq bc", r"""
jq 'length, (map(.value) | add), (group_by(.tags[0]) | map({tag: .[0].tags[0], n: length}))' in.json
jq -c '.[] | select(.id % 500 == 3) | {id, name, up: (.name | ascii_upcase), t: (.tags | join("-"))}' in.json; jq -r '[.[] | .id] | @csv' in.json | md5sum
echo 'scale=60; 4*a(1); e(1); sqrt(2); 2^300; define f(n) { if (n < 2) return 1; return n * f(n - 1) }; f(50)' | bc -l
"""),
    case("openssl", r"""
openssl dgst -sha256 -md5 in.text; for d in sha1 sha512 sha3-256 blake2b512 md5; do openssl dgst -$d in.text; done
echo -n abc | openssl dgst -sha256
K=2b7e151628aed2a6abf7158809cf4f3c
printf '\153\301\276\342\056\100\237\226\351\075\176\021\163\223\027\052' | openssl enc -aes-128-ecb -K $K -nopad | od -An -tx1
openssl enc -aes-256-cbc -K $K$K -iv $K -in in.text -out enc; openssl enc -d -aes-256-cbc -K $K$K -iv $K -in enc | cmp - in.text && echo same
openssl enc -chacha20 -K $K$K -iv $K -in in.text | openssl md5; openssl dgst -sha256 -hmac key in.text; openssl prime 1000003; openssl base64 -in in.text | tail -n 1
"""),
    case("audio", r"""
flac --totally-silent -8 -o a.flac in.wav; flac --totally-silent -t a.flac && echo good; flac --totally-silent -d -c a.flac | cmp - in.wav && echo same; metaflac --list --block-number=0 a.flac
oggenc -Q --serial 1 -q 4 -o a.ogg in.wav; oggdec -Q -o back.wav a.ogg; ls -l a.ogg back.wav | cut -d' ' -f5-
opusenc --quiet --serial 1 --bitrate 64 in.wav a.opus; opusdec --quiet a.opus o.wav; ls -l a.opus | cut -d' ' -f5-
"""),
    case("pictures", r"""
cjpeg -quality 85 -outfile a.jpg in.ppm; cjpeg -progressive -optimize -outfile p.jpg in.ppm; djpeg -outfile a.ppm a.jpg; djpeg -scale 1/2 -gif -outfile s.gif p.jpg
jpegtran -rotate 90 -outfile r.jpg a.jpg; md5sum a.jpg p.jpg a.ppm s.gif r.jpg
cwebp -quiet -q 70 in.ppm -o a.webp; cwebp -quiet -lossless in.ppm -o l.webp; dwebp -quiet l.webp -ppm -o l.ppm; cmp l.ppm in.ppm && echo lossless; dwebp -quiet a.webp -ppm -o w.ppm; md5sum *.webp w.ppm
"""),
    case("threads", r"""
rg -j 4 -c delta in.text; rg -j 4 --sort path -l 'use strict' /usr/share/perl | head -20; fdfind -j 4 libc /usr/lib | sort | head -20
gron in.json | tail -5; gron in.json | md5sum; fzf -f delta < in.text | sort | md5sum; pigz -n -p 4 -c in.text | md5sum; pigz -p 4 -c in.text | gzip -dc | cmp - in.text && echo same
xz -T4 --block-size=20000 -c in.text | md5sum; xz -T4 --block-size=20000 -c in.text | xz -dc -T4 | cmp - in.text && echo same; zstd -q -T4 -c in.text | zstd -dc | cmp - in.text && echo same
cat > t.py <<'EOT'
import threading, queue, concurrent.futures, time
q, squares, lock = queue.Queue(), [], threading.Lock()
def work():
    while (x := q.get()) is not None:
        with lock: squares.append(x * x)
threads = [threading.Thread(target=work) for _ in range(6)]
for t in threads: t.start()
for i in range(2000): q.put(i)
for t in threads: q.put(None)
for t in threads: t.join()
print(sum(squares), len(squares))
with concurrent.futures.ThreadPoolExecutor(8) as pool: print(sum(pool.map(lambda x: x * 2, range(500))))
e = threading.Event(); threading.Timer(0.05, e.set).start(); print(e.wait(10), e.wait(0))
EOT
python3 t.py
"""),
    case("net", r"""
cat > n.py <<'EOT'
import http.server, socketserver, threading, urllib.request, socket, select
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (self.path * 1000).encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))[::-1]
        self.send_response(201); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = "http://127.0.0.1:%d/" % server.server_address[1]
results = []
def get(i): results.append(len(urllib.request.urlopen(url + "x" * i).read()))
threads = [threading.Thread(target=get, args=(i,)) for i in range(12)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(results))
r = urllib.request.urlopen(url, data=b"0123456789" * 50000); print(r.status, len(r.read()))
server.shutdown()
try: socket.create_connection(("127.0.0.1", 1), timeout=2)
except OSError as e: print(type(e).__name__)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("127.0.0.1", 0)); s.settimeout(0.05)
try: s.recv(10)
except TimeoutError: print("timeout")
s.sendto(b"x", s.getsockname()); print(select.select([s], [], [], 1)[0] == [s], s.recvfrom(9)[0])
print(socket.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)[0][4])
EOT
timeout 20 python3 n.py
""", options=("--net=loopback",)),
    case("git", r"""
export GIT_AUTHOR_DATE='2024-01-01T00:00:00Z' GIT_COMMITTER_DATE='2024-01-01T00:00:00Z' GIT_CONFIG_NOSYSTEM=1
git config --global user.name Vx; git config --global user.email vx@example.org; git config --global pack.threads 1; git config --global core.preloadIndex false
git config --global gc.auto 0; git config --global init.defaultBranch main; git config --global index.threads 1; git config --global core.fsyncMethod batch
mkdir r; cd r; git init -q; i=1; while [ $i -le 100 ]; do tail -n +$i ../in.text | head -n 30 > file$i; i=$((i+1)); done
git add .; git commit -q -m 'one hundred files'; echo change >> file7; git commit -q -a -m second; git log --oneline --stat | tail -n 5
git checkout -q -b side HEAD~1; echo other > new; git add new; git commit -q -m side; git checkout -q main; git merge -q -m merged side; git log --format='%h %p %s'
git gc -q; git fsck; git diff --stat HEAD~1; git ls-tree HEAD | head -n 3; git status --short; git grep -c delta -- file1 file2; git show HEAD:file7 | tail -n 1
git tag -a -m tag v1; git describe; git clone -q . ../c; cd ../c; git rev-parse HEAD; git archive HEAD | tar tf - | wc -l; git blame -s file7 | tail -n 2
""", hide_files=True),
]
