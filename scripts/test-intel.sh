#!/usr/bin/env bash
# Runs the tests on Intel's OpenCL runtime for CPUs, which comes from PyPI into an environment of its own.
# Its compiler vectorises across work-items and reorders more than PoCL's, so it finds other mistakes.
#
#   scripts/test-intel.sh               all tests, in build/
#   scripts/test-intel.sh check_attend  these
#   CLKV_INTEL_OCL=FILE                 libintelocl.so of an installation that is there already
#   BUILD=DIR                           another build folder
#
# Exit status: that of make check; 77 when the runtime can't be had.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${BUILD:-build}
dir=${XDG_CACHE_HOME:-$HOME/.cache}/clkv-intel

skip() {
	echo "SKIPPED: test-intel.sh: $1"
	exit 77
}

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
unset CLKV_TEST_DEVICE
[ -f "$build/Makefile" ] || scripts/build.sh --enable-werror
[ $# = 0 ] || set -- TESTS="${*/#/tests/}"
make -C "$build" -s check -j2 "$@"
