#!/usr/bin/env bash
# Runs test programs on Intel's OpenCL runtime for CPUs, which comes from PyPI into an environment of its own.
# Its compiler vectorises across work-items and reorders more than PoCL's, so it finds other mistakes.
#
#   check-intel.sh PROGRAM...     in the build folder; what is no suite of Check (scripts, fuzzers) is passed over
#   CLKV_INTEL_OCL=FILE           libintelocl.so of an installation that is there already
#   JOBS=N                        programs at a time; all processors if not set
#
# Exit status: 0, 1, or 77 where the runtime can't be had.
set -euo pipefail
dir=${XDG_CACHE_HOME:-$HOME/.cache}/clkv-intel

skip() {
	echo "SKIPPED: $1"
	exit 77
}

programs=()
for p in "$@"; do
	[[ $p != tests/check_* || ! -x $p ]] || programs+=("$p")
done
[ ${#programs[@]} != 0 ] || skip "no test program is here: Check isn't there, or TESTS names none"

runtime=${CLKV_INTEL_OCL:-$dir/lib/libintelocl.so}
if [ ! -e "$runtime" ]; then
	[ -z "${CLKV_INTEL_OCL:-}" ] || skip "CLKV_INTEL_OCL names $runtime, which is not there"
	[ "$(uname -m)" = x86_64 ] || skip "Intel's runtime is for x86_64, this is $(uname -m)"
	python3 -m venv "$dir" || skip "python3 can't make a virtual environment (Debian: python3-venv)"
	"$dir/bin/pip" install --quiet --disable-pip-version-check intel-opencl-rt intel-cmplr-lib-rt ||
		skip "pip can't get intel-opencl-rt and intel-cmplr-lib-rt"
	[ -e "$runtime" ] || skip "intel-opencl-rt has no $runtime"
fi

# The loader takes the library itself in place of a folder of .icd files. The library finds what lies beside
# it; its folder must not be on LD_LIBRARY_PATH, or the loader that lies there too would be taken.
export OCL_ICD_VENDORS=$runtime
unset CLKV_TEST_DEVICE CLKV_TUNE
export logs=tests/vendors/intel
mkdir -p $logs

# shellcheck disable=SC2016 # the inner shell expands
printf '%s\n' "${programs[@]}" | xargs -P "${JOBS:-$(nproc)}" -I PROGRAM bash -c '
	name=$(basename PROGRAM) status=0
	./PROGRAM >$logs/$name.log 2>&1 || status=$?
	echo "$name: $(grep -E "^[0-9]+%: Checks: |SKIPPED|no device" $logs/$name.log | tail -n 1)"
	[ $status = 0 ] || [ $status = 77 ] || { tail -n 20 $logs/$name.log; exit 1; }'
