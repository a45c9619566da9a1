# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# What sweep-*.sh share: recipes are evaluated on texts; JSON lines, a table and a plot come of it.
# The script that sources this has set
#   recipes   array
#   flags     array of more options of clkv-eval, if any
#   series    awk function series(recipe): the name of the line that it belongs to
#   xrange    bytes per token of the plot, "from:to"; yrange: divergence
#   height    of the plot, default 440
#   apart     regular expression of series whose points aren't joined
# and then calls: sweep "$0" CLKV-EVAL MODEL OUT.svg TEXT...
# OUT.jsonl beside the plot keeps the lines; one that is there is plotted again without evaluating.
# shellcheck disable=SC2154
set -euo pipefail
flags=()

# OUT.jsonl EVAL MODEL TEXT...: a line for each recipe and text
sweep_lines()
{
	local lines=$1 eval=$2 model=$3 args=() recipe text
	shift 3
	[ -s "$lines" ] && return
	for recipe in "${recipes[@]}"; do
		args+=(--recipe "$recipe")
	done
	for text in "$@"; do
		"$eval" --model "$model" --text "$text" --context "${CLKV_SWEEP_CONTEXT:-3072}" \
			--tokens 512 --json "${flags[@]}" "${args[@]}" |
			sed "s|^{|{\"text\": \"$(basename "$text" .txt)\", |"
	done >"$lines.tmp"
	mv "$lines.tmp" "$lines"
}

# OUT.jsonl DIR: the table; in DIR one file of "bytes delta kl" per text and series, and TEXT.list of these files
sweep_table()
{
	{
		echo "$series"
		cat <<'AWK'
{
	recipe = field("recipe")
	line = series(recipe)
	printf "%-14s %-48s %6.0f bytes %5.2f times %+7.2f %% KL %.4f\n", field("text"), recipe,
		field("bytes_per_token"), field("ratio"), field("delta_pct"), field("kl_mean")
	file = dir "/" field("text") "@" line
	gsub(/[ ,=|:]/, "_", file)
	if (!(file in known)) {
		known[file] = 1
		print file "\t" line >>(dir "/" field("text") ".list")
	}
	print field("bytes_per_token"), field("delta_pct"), field("kl_mean") >>file
}
AWK
	} >"$2/rows.awk"
	awk -v dir="$2" -f "$(dirname "${BASH_SOURCE[0]}")/field.awk" -f "$2/rows.awk" "$1"
}

# OUT.svg DIR: a panel for each text
sweep_plot()
{
	local list texts=("$2"/*.list)
	{
		echo "set terminal svg size $((480 * ${#texts[@]})),${height:-440} background rgb 'white'"
		echo "set output '$1'"
		echo "set multiplot layout 1,${#texts[@]}"
		echo "set logscale y; set grid; set key below; set format y '%g'; set xlabel 'bytes per token'"
		echo "set ylabel 'KL divergence from the exact cache, nats per token'"
		echo "set xrange [$xrange]; set yrange [$yrange]"
		for list in "${texts[@]}"; do
			echo "set title '$(basename "$list" .list)'"
			awk -F '\t' -v apart="${apart:-^$}" 'BEGIN { printf "plot" }
				{ printf "%s \"%s\" using 1:3 with %s title \"%s\" noenhanced", (NR > 1 ? "," : ""), $1,
					$2 ~ apart ? "points" : "linespoints", $2 }
				END { print "" }' "$list"
		done
		echo "unset multiplot"
	} >"$2/script"
	gnuplot "$2/script"
}

sweep()
{
	if [ $# -lt 5 ]; then
		sed -n '3,5s/^# //p' "$1" >&2
		exit 2
	fi
	local eval=$2 model=$3 plot=$4
	shift 4
	sweep_lines "${plot%.svg}.jsonl" "$eval" "$model" "$@"
	data=$(mktemp -d)
	trap 'rm -rf "$data"' EXIT
	sweep_table "${plot%.svg}.jsonl" "$data"
	command -v gnuplot >/dev/null || { echo "plot: skipped, no gnuplot here" >&2; exit 77; }
	sweep_plot "$plot" "$data"
}
