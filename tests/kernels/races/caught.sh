#!/usr/bin/env bash
# caught.sh PROGRAM NAME: `sound` must run clean and right; a mutant must be stopped by ThreadSanitizer,
# which then exits with 66. Without the wait for credit the results may be wrong (1) before two threads
# meet in a slot. Exit code 77 (skipped) where ThreadSanitizer cannot start.
set -uo pipefail
program=$1 name=$2
export TSAN_OPTIONS="halt_on_error=1 exitcode=66"
run=("$program" "$name")
output=$("${run[@]}" 2>&1); code=$?
if [[ $output == *"unexpected memory mapping"* ]]; then   # too random addresses for this compiler
  output=$(setarch --addr-no-randomize "${run[@]}" 2>&1); code=$?
  if [[ $output == *"unexpected memory mapping"* || $output == *setarch:* ]]; then
    echo "skipped: ThreadSanitizer cannot start here: ${output:0:200}"
    exit 77
  fi
fi
case $name in
  sound) expected=0 ;;
  no_credit_wait) expected='66 or 1' ;;
  *) expected=66 ;;
esac
echo "$name: exit code $code (expected $expected)"
if [[ " $expected " != *" $code "* ]]; then echo "$output" | tail -n 60; exit 1; fi
