# SPDX-License-Identifier: MIT
# The value of a name in a JSON line of clkv-bench.
function field(name,    s)
{
	if (!match($0, "\"" name "\": (\"[^\"]*\"|[^,}]*)"))
		return "?"
	s = substr($0, RSTART + length(name) + 4, RLENGTH - length(name) - 4)
	gsub(/"/, "", s)
	return s
}
