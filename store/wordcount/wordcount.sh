#!/bin/sh
# Counts the text on standard input; $TOP (10) says how many of its words to list.
set -eu
text=$(mktemp)
trap 'rm -f "$text"' EXIT
cat >"$text"

printf 'lines %d\nwords %d\nbytes %d\n\n' \
    "$(wc -l <"$text")" "$(wc -w <"$text")" "$(wc -c <"$text")"
tr -cs '[:alpha:]' '\n' <"$text" | tr '[:upper:]' '[:lower:]' | grep -v '^$' |
    sort | uniq -c | sort -k1,1nr -k2 | head -n "${TOP:-10}" | awk '{ print $1, $2 }'
