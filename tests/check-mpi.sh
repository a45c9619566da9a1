#!/bin/sh
# A context in stripes over 2 and 4 MPI ranks gives what one cache gives: examples/04_mpi_decode, built by MPICC if there is MPI.
# usage: check-mpi.sh PROGRAM    CLKV_MPI_TOKENS: of a prompt that is attended with, default 5000; CLKV_MPI_LONG: of one
# that isn't, default 131072
set -eu
program=$1
[ -x "$program" ] && command -v mpirun >/dev/null || { echo "SKIPPED: no MPI here (mpicc, mpirun)"; exit 77; }
CLKV_CACHE_DIR=${CLKV_CACHE_DIR-tests/program-cache}
export CLKV_CACHE_DIR
# one core and one thread a rank, as far as there are cores; containers' root is root
export POCL_MAX_PTHREAD_COUNT=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
	OMPI_MCA_rmaps_base_oversubscribe=1
run() { # RANKS ARGUMENT...
	status=0
	ranks=$1
	shift
	mpirun -n "$ranks" "$program" "$@" --check || status=$?
	[ $status != 77 ] || { echo "SKIPPED: no OpenCL device"; exit 77; }
	[ $status = 0 ] || { echo "$ranks ranks, $*: $program failed: $status"; exit 1; }
	n=$((n + 1))
}
n=0
for r in 1 2 4; do
	run $r "${CLKV_MPI_TOKENS:-5000}" 20 f16
	run $r "${CLKV_MPI_LONG:-131072}" 20 f16 --fill
done
echo "check-mpi: $n passed, 0 failed"
