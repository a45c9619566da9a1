#!/usr/bin/env bash
# The lines of the vendor matrix, one after the other: "matrix: NAME ok|FAILED|SKIPPED (why)" for each, and all
# it printed in tests/vendors/NAME.log. Runs in the build folder.
#
#   matrix.sh [LINE...]     all if none is named
#
# Exit status: 1 if a line failed; a skipped one is none that failed.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lines=(pocl intel oclgrind offline-amd offline-nvidia offline-spirv offline-intel)
[ $# = 0 ] || lines=("$@")

# What Intel's compiler can get wrong, in under two minutes: each kernel, form, codec and order of events.
# CLKV_TEST_FULL has all suites run.
intel_suites=(attend build context events forms prune_think seal small_data strange threads)
intel_suites=("${intel_suites[@]/#/tests/check_}")
if [ -n "${CLKV_TEST_FULL:-}" ]; then
	mapfile -t intel_suites < <(find tests -maxdepth 1 -name 'check_*' -type f -perm -u+x | sort)
fi

run() {
	case $1 in
	pocl) ${MAKE:-make} -s check ;;
	intel) bash "$here/check-intel.sh" "${intel_suites[@]}" ;;
	oclgrind) bash "$here/check-oclgrind.sh" ;;
	offline-*) bash "$here/check-offline.sh" "${1#offline-}" ;;
	*)
		echo "no such line: $1"
		return 2
		;;
	esac
}

failed=0
mkdir -p tests/vendors
for line in "${lines[@]}"; do
	log=tests/vendors/$line.log
	status=0
	SECONDS=0
	run "$line" >"$log" 2>&1 || status=$?
	case $status in
	0) echo "matrix: $line ok ($(grep -vE '^make|^ *$' "$log" | tail -n 1), $SECONDS s)" ;;
	77) echo "matrix: $line SKIPPED ($(sed -n 's/^SKIPPED: //p' "$log" | tail -n 1))" ;;
	*)
		grep -E '^BAD' "$log" | head -n 40 || tail -n 40 "$log"
		echo "matrix: $line FAILED (status $status, $SECONDS s; see $log)"
		failed=1
		;;
	esac
done
exit $failed
