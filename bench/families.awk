# SPDX-License-Identifier: MIT
# JSON lines of clkv-eval on a text and on its tasks, and of clkv-bench, to one table. With field.awk.
{
	name = field("recipe")
	if (field("time_us") != "?") {
		if (name == "f16")
			f16 = field("time_us")
		else
			time[name] = field("time_us") / f16
	} else if (field("task") != "?") {
		right[field("task"), name] = field("accuracy")
		later[field("task"), name] = field("later")
		loss[field("task"), name] = field("loss")
	} else {
		if (!(name in bytes))
			order[++n] = name
		bytes[name] = field("bytes_per_token")
		kl[name] = field("kl_mean")
	}
}
function part(value)
{
	return value == "?" || value == "null" || value == "" ? "-" : sprintf("%.2f", value)
}
END {
	print "| recipe | bytes | KL | needle | turns | later | loss, nats | time |"
	print "|---|---|---|---|---|---|---|---|"
	for (i = 1; i <= n; i++) {
		r = order[i]
		text = r
		gsub(/\|/, "\\|", text)
		printf "| `%s` | %.0f | %.4f | %s | %s | %s | %s | %s |\n", text, bytes[r], kl[r], part(right["needle", r]),
		       part(right["turns", r]), part(later["turns", r]), part(loss["turns", r]),
		       r in time ? sprintf("%.2f", time[r]) : "-"
	}
}
