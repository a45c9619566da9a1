#!/bin/sh
# A context in stripes over 2 and 4 MPI ranks gives what one cache gives: examples/04_mpi_decode, built by MPICC if there is MPI.
# usage: check-mpi.sh PROGRAM    CLKV_MPI_TOKENS: length of the context, default 5000
set -eu
program=$1
[ -x "$program" ] && command -v mpirun >/dev/null || { echo "SKIPPED: no MPI here (mpicc, mpirun)"; exit 77; }
CLKV_CACHE_DIR=${CLKV_CACHE_DIR-tests/program-cache}
export CLKV_CACHE_DIR
# one core and one thread a rank, as far as there are cores; containers' root is root
export POCL_MAX_PTHREAD_COUNT=1 OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 \
	OMPI_MCA_rmaps_base_oversubscribe=1
for ranks in 1 2 4; do
	status=0
	mpirun -n $ranks "$program" "${CLKV_MPI_TOKENS:-5000}" 20 f16 --check || status=$?
	[ $status != 77 ] || { echo "SKIPPED: no OpenCL device"; exit 77; }
	[ $status = 0 ] || { echo "$ranks ranks: $program failed: $status"; exit 1; }
done
echo "check-mpi: 3 passed, 0 failed"
