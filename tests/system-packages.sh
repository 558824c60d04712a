#!/bin/sh
# Installs the system's packages that tests need and this machine lacks; without the means, says which tests are skipped.
missing=""
while read -r command package _; do
    command -v "$command" >/dev/null 2>&1 || missing="$missing $package"
done <"$(dirname "$0")/system-packages.txt"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    (apt-get update -qq && apt-get install -y -qq $missing) >/dev/null 2>&1 && exit 0
fi
echo "not installed:$missing; the tests that need them are skipped" >&2
