# SPDX-License-Identifier: MIT
# What prefixes from a store, and contexts over ranks, cost: a model, not a measurement. Called by bench/scale.sh, which says what
# the constants are. Prints tables in Markdown; with plot=DIR also files of points for gnuplot.
function model(name, params, layers, q_heads, kv_heads, dim)
{
	models[++n_models] = name
	P[name] = params; L[name] = layers; Q[name] = q_heads; KV[name] = kv_heads; D[name] = dim
}
function recipe(name, bits) { recipes[++n_recipes] = name; bits_of[name] = bits }
function network(name, bytes_per_s, seconds) { networks[++n_networks] = name; B[name] = bytes_per_s; rtt[name] = seconds }

# bytes of a token in all layers, K and V
function token(m, r) { return 2 * L[m] * KV[m] * D[m] * bits_of[r] / 8 }
# a prompt of n tokens: weights, and a causal half of Q K^T and of P V
function prefill(m, n) { return (2 * P[m] * n + 2 * L[m] * Q[m] * D[m] * n * n) / (flops * 1e12) }
# its chunks from a store: asked for at once, sent, and copied to the device's pages
function hit(m, r, w, n) { return 2 * rtt[w] + n * token(m, r) * (1 / B[w] + 1 / (load * 1e9)) }
# the shortest prompt of which a hit costs less than computing it; 0: none up to 2^20
function even(m, r, w,    lo, hi, mid)
{
	lo = 1; hi = 1048576
	if (hit(m, r, w, hi) > prefill(m, hi))
		return 0
	while (lo < hi) {
		mid = int((lo + hi) / 2)
		if (hit(m, r, w, mid) <= prefill(m, mid)) hi = mid; else lo = mid + 1
	}
	return lo
}
function log2_up(x,    n) { for (n = 0; 2 ^ n < x; n++) {} return n }
# a row of generation over n tokens in `ranks` stripes: all layers' bytes of K and V read; then outputs and log-sum-exps, either
# gathered by all, each of which merges all heads, or each rank's share of the heads sent to it, merged and given back
function step(m, r, w, n, ranks, shares,    bytes, times)
{
	bytes = Q[m] * (D[m] + 1) * 4 * (shares ? 2 * (ranks - 1) / ranks : ranks - 1)
	times = (shares ? 2 : 1) * log2_up(ranks)
	return n * token(m, r) / ranks / (memory * 1e9) + L[m] * launch * 1e-6 + \
		L[m] * (times * rtt[w] / 2 + bytes * (1 / B[w] + 1 / (merge * 1e9)))
}
function time_of(s) { return s < 1e-3 ? sprintf("%.0f us", s * 1e6) : s < 1 ? sprintf("%.3g ms", s * 1e3) : sprintf("%.3g s", s) }
BEGIN {
	model("135M", 0.135e9, 30, 9, 3, 64)
	model("8B", 8.0e9, 32, 32, 8, 128)
	model("70B", 70e9, 80, 64, 8, 128)
	recipe("f16", 16); recipe("q:k=8,v=8", 9.06); recipe("kivi:bits=4", 5.03); recipe("kvcomp", 3.52); recipe("qtc", 2.09) # of sealed tokens, doc/qtc.md
	network("1 Gb/s", 0.117e9, 200e-6); network("10 Gb/s", 1.17e9, 100e-6); network("100 Gb/s", 11.7e9, 20e-6)
	network("folder on NVMe", 3e9, 100e-6)

	printf "Constants: prompts at %g TFLOP/s, pages loaded at %g GB/s, attention reads %g GB/s, a launch %g us, merging %g GB/s.\n\n", \
		flops, load, memory, launch, merge
	print "A hit of 4,096 tokens, beside computing them:\n"
	printf "| model | recipe | bytes per token | prefill |"
	for (w = 1; w <= n_networks; w++) printf " %s |", networks[w]
	printf "\n|---|---|---|---|"
	for (w = 1; w <= n_networks; w++) printf "---|"
	print ""
	for (i = 1; i <= n_models; i++) for (j = 1; j <= n_recipes; j++) {
		m = models[i]; r = recipes[j]
		printf "| %s | `%s` | %.0f | %s |", m, r, token(m, r), time_of(prefill(m, 4096))
		for (w = 1; w <= n_networks; w++) printf " %s |", time_of(hit(m, r, networks[w], 4096))
		print ""
	}
	print "\nThe shortest prompt of which a hit costs less than computing it, in tokens (-: none up to 2^20):\n"
	printf "| model | recipe |"
	for (w = 1; w <= n_networks; w++) printf " %s |", networks[w]
	printf "\n|---|---|"
	for (w = 1; w <= n_networks; w++) printf "---|"
	print ""
	for (i = 1; i <= n_models; i++) for (j = 1; j <= n_recipes; j++) {
		printf "| %s | `%s` |", models[i], recipes[j]
		for (w = 1; w <= n_networks; w++) { e = even(models[i], recipes[j], networks[w]); printf " %s |", e ? e : "-" }
		print ""
	}
	printf "\nA store of a million prefixes of %d tokens, %g of whose chunks other prefixes have too, in TB:\n\n| model |", prefix, shared
	for (j = 1; j <= n_recipes; j++) printf " `%s` |", recipes[j]
	printf "\n|---|"
	for (j = 1; j <= n_recipes; j++) printf "---|"
	print ""
	for (i = 1; i <= n_models; i++) {
		printf "| %s |", models[i]
		for (j = 1; j <= n_recipes; j++) printf " %.3g |", 1e6 * prefix * (1 - shared) * token(models[i], recipes[j]) / 1e12
		print ""
	}
	printf "\nA row of generation of the 70B model over ranks on 100 Gb/s, attention alone:\n\n| tokens | recipe | heads |"
	for (n = 1; n <= 128; n *= 2) printf " %d |", n
	printf "\n|---|---|---|"
	for (n = 1; n <= 128; n *= 2) printf "---|"
	print ""
	for (t = 131072; t <= 1048576; t *= 8) for (j = 1; j <= n_recipes; j += 4) for (s = 0; s <= 1; s++) {
		printf "| %d | `%s` | %s |", t, recipes[j], s ? "shared" : "gathered"
		for (n = 1; n <= 128; n *= 2) printf " %s |", time_of(step("70B", recipes[j], "100 Gb/s", t, n, s))
		print ""
	}
	if (!plot)
		exit
	for (j = 1; j <= n_recipes; j++)
		for (n = 64; n <= 131072; n *= 2)
			print n, hit("8B", recipes[j], "10 Gb/s", n) / prefill("8B", n) >(plot "/hit" j)
	for (t = 131072; t <= 1048576; t *= 8) for (j = 1; j <= n_recipes; j += 4)
		for (n = 1; n <= 128; n *= 2)
			print n, 1e3 * step("70B", recipes[j], "100 Gb/s", t, n, 1) >(plot "/ranks" t "-" j)
}
