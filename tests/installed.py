"""What tests of an installed Vx share: whether they can run, and where things are. A module, no test."""
import glob
import os
import re
import subprocess


def why_not(binary, compiler=None):
    """Why a test that installs the build, and builds guests with `compiler` (gcc or g++), cannot run here; None: it can."""
    if compiler:
        language = "c++" if compiler == "g++" else "c"
        try:
            probe = subprocess.run([compiler, "-m32", "-static", "-x", language, "-o", os.devnull, "-"], check=False,
                                   input=b"int main() { return 0; }", stderr=subprocess.DEVNULL)
        except OSError as error:
            return f"{compiler}: {error.strerror}"
        if probe.returncode:
            return f"{compiler} -m32 -static does not work here"
    with open(os.path.join(binary, "CMakeCache.txt"), encoding="utf-8") as cache:
        if re.search(r"^VX_SANITIZE:\w+=(ON|thread)$", cache.read(), re.M):
            return "the library was built with sanitizers"
    return None


def install(cmake, binary, prefix):
    """Install the build below prefix; the directory of its libraries."""
    subprocess.run([cmake, "--install", binary, "--prefix", prefix], check=True, stdout=subprocess.DEVNULL)
    shared, = glob.glob(os.path.join(prefix, "lib*", "**", "libvxrt.so"), recursive=True)
    return os.path.dirname(shared)
