# SPDX-License-Identifier: MIT
# JSON lines of clkv-bench to a table of ratios, to f16 and, where it was measured, to the peer's best.
# With field.awk.
{
	n++
	recipe[n] = field("recipe")
	time[n] = field("time_us") + 0
	problem[n] = sprintf("%-8s %4d %2d %7d %5d", field("op"), field("head_dim"),
	                     field("q_heads") / field("kv_heads"), field("tokens"), field("rows"))
	ns[n] = field("ns_per_token_head")
	share[n] = field("limit") == "?" ? "-" : sprintf("%.0f%% of %s", 100 * field("limit_share"), field("limit"))
	if (recipe[n] == "f16")
		f16[problem[n]] = time[n]
	if (recipe[n] ~ /^ggml:/ && (!(problem[n] in peer) || time[n] < peer[problem[n]]))
		peer[problem[n]] = time[n]
	if (recipe[n] == "ggml:f16,tokens")
		real[problem[n]] = time[n]
}
function ratio(of, i)
{
	return problem[i] in of ? sprintf("%.2f", of[problem[i]] / time[i]) : "-"
}
END {
	print ""
	print "Speed as a ratio (more is faster) to recipe f16; to the fastest form of ggml measured; to ggml f16,"
	print "token by token, the form it has in models. limit: time that this machine's limit allows / time"
	printf "%-8s %4s %2s %7s %5s  %-16s %10s %8s %6s %6s %6s  %s\n", "op", "D", "G", "tokens", "rows",
	       "recipe", "us", "ns/t/h", "f16", "ggml", "tokens", "limit"
	for (i = 1; i <= n; i++)
		printf "%s  %-16s %10.1f %8.2f %6s %6s %6s  %s\n", problem[i], recipe[i], time[i], ns[i],
		       ratio(f16, i), ratio(peer, i), ratio(real, i), share[i]
}
