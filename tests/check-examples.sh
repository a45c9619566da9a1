#!/bin/sh
# The examples run, and find what they check to be so.
set -eu
CLKV_CACHE_DIR=${CLKV_CACHE_DIR-tests/program-cache}
export CLKV_CACHE_DIR
run() # PROGRAM [ARGUMENT...]
{
	status=0
	"$@" || status=$?
	[ $status != 77 ] || { echo "SKIPPED: no OpenCL device"; exit 77; }
	[ $status = 0 ] || { echo "$1 failed: $status"; exit 1; }
}
run examples/01_attend kivi:bits=4 "${CLKV_TEST_DEVICE:-}"
run examples/02_sequences kivi:bits=4 "${CLKV_TEST_DEVICE:-}"
run examples/03_events
