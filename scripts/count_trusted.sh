#!/bin/sh
# Lines of the trusted folders: all lines, and code lines (no blank and no
# comment-only lines), with one line a file with -v. docs/security.md quotes it.
set -eu
cd "$(dirname "$0")/.."
verbose=${1:-}

count() { # name, files...
    name=$1
    shift
    awk -v name="$name" -v verbose="$verbose" '
        function report_file() {
            if (verbose == "-v" && file != "")
                printf "  %-28s %6d %6d\n", file, lines, code
            lines = code = 0
        }
        FNR == 1 { report_file(); file = FILENAME; in_comment = 0 }
        {
            all++; lines++
            text = $0
            if (in_comment) {
                if (!sub(/^.*\*\//, "", text)) next
                in_comment = 0
            }
            gsub(/\/\*[^*]*(\*[^\/][^*]*)*\*\//, "", text)
            if (sub(/\/\*.*$/, "", text)) in_comment = 1
            sub(/\/\/.*$/, "", text)
            if (text ~ /[^ \t]/) { total++; code++ }
        }
        END { report_file(); printf "%-30s %6d %6d\n", name, all, total }' "$@"
}

printf "%-30s %6s %6s\n" "folder" "lines" "code"
count verifier/ verifier/*.[ch]
count format/ format/*.[ch]
count vxrt/ $(ls vxrt/*.[chS] vxrt/include/*.h)
count vxrt/linux/ vxrt/linux/*.[ch]
count "all trusted" $(ls verifier/*.[ch] format/*.[ch] vxrt/*.[chS] vxrt/include/*.h vxrt/linux/*.[ch])
