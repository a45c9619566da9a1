#!/usr/bin/env bash
# All tests from nothing: installs, builds without warnings, runs them, prints Check's closing lines.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
scripts/build.sh --enable-werror
status=0
make -C build -s check -j2 || status=$?
for log in build/tests/*.log; do
	[ "$(basename "$log")" = test-suite.log ] && continue
	summary=$(grep -hE '^[0-9]+%: Checks: |SKIPPED' "$log" | tail -n 1 || true)
	[ -n "$summary" ] && echo "$(basename "$log" .log): $summary"
done
{ grep -hE '^[0-9]+%: Checks: ' build/tests/*.log || true; } | awk '
	{ gsub(/,/, ""); checks += $3; failures += $5; errors += $7 }
	END { if (checks) printf "%d%%: Checks: %d, Failures: %d, Errors: %d\n",
	      100 * (checks - failures - errors) / checks, checks, failures, errors }'
exit $status
