# SPDX-License-Identifier: MIT
# JSON lines of clkv-bench attend to one file of "tokens ns" per shape and recipe in the folder dir, and a list of
# these per shape. With field.awk.
/^\{"op": "attend"/ {
	shape = field("head_dim") ":" field("q_heads") / field("kv_heads")
	recipe = field("recipe")
	file = dir "/" shape "@" recipe
	gsub(/[ ;]/, "_", file)
	if (!(file in known)) {
		known[file] = 1
		print file "\t" recipe >>(dir "/" shape ".list")
	}
	print field("tokens"), field("ns_per_token_head") >>file
}
