#!/usr/bin/env bash
# Runs every kernel under Oclgrind, with several work-items per group: races, barriers that not all reach, accesses
# beside a buffer. Oclgrind exits with the program's status whatever it found, so any word of it fails.
#
#   check-oclgrind.sh             all cases, which must have launched every kernel of cl/
#   CLKV_SMOKE=P/N                the P-th of N parts of them
#   FORMS="lanes=64,vec=1 ..."    other forms than the usual two
#
# Exit status: 0, 1, or 77 where Oclgrind or the test isn't there.
set -euo pipefail
smoke=tests/vendors/race_smoke
cl=${srcdir:-.}/cl

skip() {
	echo "SKIPPED: $1"
	exit 77
}

[ -x $smoke ] || skip "no $smoke: Check isn't there"
runtime=
for f in /usr/lib/oclgrind/liboclgrind-rt-icd.so /usr/lib/*/oclgrind/liboclgrind-rt-icd.so; do
	[ ! -e "$f" ] || runtime=$f
done
[ -n "$runtime" ] || skip "no Oclgrind here (Debian: oclgrind)"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

unset CLKV_TEST_DEVICE CLKV_KERNEL_DIR OCLGRIND_LOG
export OCL_ICD_VENDORS=$runtime CLKV_CACHE_DIR='' OCLGRIND_DATA_RACES=1 OCLGRIND_CHECK_API=1
# Its interpreter doesn't know some of what clang makes when it optimises (usub.sat) and inlines (noalias scopes).
export OCLGRIND_BUILD_OPTIONS='-cl-opt-disable -Dalways_inline=unused'

# It writes to stderr; a log file of its own would begin anew with each context.
for form in ${FORMS:-lanes=8,vec=1 lanes=4,vec=4}; do
	status=0
	CLKV_TUNE=$form $smoke >"$tmp/out" 2>"$tmp/messages" || status=$?
	echo "$form: $(tail -n +2 "$tmp/out")"
	[ $status != 77 ] || skip "Oclgrind has no device"
	if [ -s "$tmp/messages" ]; then
		head -n 60 "$tmp/messages"
		echo "$form: $(wc -l <"$tmp/messages") lines of messages"
		status=1
	fi
	[ $status = 0 ] || exit 1
done

# A check that can't fail is none: without barriers there are races, and they must be seen. The first part does so.
if [ -n "${FORMS:-}" ] || [ "${CLKV_SMOKE:+${CLKV_SMOKE%%/*}}" -gt 1 ] 2>/dev/null; then
	echo "no message"
	exit 0
fi
mkdir "$tmp/cl"
for f in "$cl"/*/*.cl "$cl"/*/*.clh; do
	sed 's/\<barrier *([^)]*)/((void)0)/g' "$f" >"$tmp/cl/${f##*/}"
done
CK_RUN_CASE=smoke CLKV_TUNE=lanes=8,vec=1 CLKV_KERNEL_DIR=$tmp/cl $smoke >/dev/null 2>"$tmp/messages" || true
races=$(grep -c 'data race' "$tmp/messages" || true)
if [ "$races" = 0 ]; then
	echo "kernels without barriers, and no race was seen: nor would one be in the real ones"
	exit 1
fi
echo "no message; without barriers $races races are seen"
