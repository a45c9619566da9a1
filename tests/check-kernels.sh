#!/bin/sh
# Every kernel compiles alone, as OpenCL C 1.2 without extensions and without a warning, in the forms that CPUs
# and GPUs take, for each width and axis of the codec. Needs clang; no device. Each file by itself and behind order.clh, and a third
# of the products of its forms and settings, drawn by their number; CLKV_TEST_FULL=1 compiles them all.
set -eu
dir=${srcdir:-.}/cl
includes=$(printf -- '-I %s ' "$dir"/*/)
clang=
for c in clang clang-19 clang-16 clang-15 clang-14; do
	command -v "$c" >/dev/null && { clang=$c; break; }
done
[ -n "$clang" ] || { echo "SKIPPED: no clang here"; exit 77; }
bad=0 n=0 number=0
compile() {
	file=$1
	shift
	n=$((n + 1))
	# shellcheck disable=SC2086 # includes are several words
	"$clang" -x cl -cl-std=CL1.2 -target spir64 -Xclang -finclude-default-header -Wall -Wextra -Werror \
		-Wno-unused-function -Wno-unused-parameter -fsyntax-only $includes "$@" "$file" ||
		{ echo "failed: $file $*"; bad=$((bad + 1)); }
}
# One of a product of forms and settings. The steps of the draw have no period of the loops'.
compile_some() {
	number=$((number + 1))
	[ "${CLKV_TEST_FULL:-0}" = 0 ] && [ $((number * 40503 / 16 % 3)) != 0 ] || compile "$@"
}
for file in "$dir"/*/*.cl; do
	compile "$file"
	for form in '-DLANES=1 -DVEC=16' '-DLANES=64 -DVEC=1' '-DLANES=32 -DVEC=4'; do
		# shellcheck disable=SC2086 # a form is several words
		compile_some "$file" $form -DDK=128 -DDV=128 -DG=4 -DTR=2 -DSTREAMS=8 -DQ_HEADS=32 -DPROJECT_K=1 -DPROJECT_V=1
	done
done
# as PoCL compiles for processors whose instructions some files know
for file in "$dir"/*/*.cl; do
	compile "$file" -target x86_64 -march=haswell -DLANES=1 -DVEC=8
	compile "$file" -target x86_64 -march=skylake-avx512 -DLANES=1 -DVEC=16
done
# behind what numbers work-groups anew for tests
for file in "$dir"/*/*.cl; do
	compile "$file" -include "$dir/base/order.clh"
done
for bits in 2 3 4 5 6 8; do
	for axis in 0 1; do
		for sym in 0 1; do
			for file in attend_partial seal_affine read_rows; do
				compile_some "$dir"/*/$file.cl -DVEC=16 -DDK=80 -DDV=96 -DG=3 -DK_CODEC=1 -DV_CODEC=1 \
					-DK_BITS=$bits -DK_AXIS=$axis -DK_GROUP=32 -DK_SYM=$sym -DV_BITS=$bits \
					-DV_AXIS=$((1 - axis)) -DV_GROUP=32 -DV_SYM=$sym -DK_PARAMS_OFF=0 \
					-DK_CODES_OFF=4096 -DV_PARAMS_OFF=16384 -DV_CODES_OFF=20480
			done
		done
	done
done
# sums of atoms, of few numbers and many
for more in '-DATOMS=256 -DCOEFFICIENT_BITS=16 -DK_CHUNKS=1 -DV_CHUNKS=2' '-DATOMS=1024 -DCOEFFICIENT_BITS=8 -DK_CHUNKS=1 -DV_CHUNKS=3'; do
	for form in '-DLANES=1 -DVEC=8 -DTR=8' '-DLANES=1 -DVEC=16 -DTR=1' '-DLANES=64 -DVEC=1' '-DLANES=32 -DVEC=4'; do
		for file in attend_partial seal_sparse read_rows; do
			# shellcheck disable=SC2086 # several words each
			compile_some "$dir"/*/$file.cl $more $form -DDK=80 -DDV=96 -DG=3 -DK_CODEC=6 -DV_CODEC=6 -DK_SUMMED=8 -DV_SUMMED=6 \
				-DK_BITS=16 -DV_BITS=16 -DK_AXIS=0 -DV_AXIS=1 -DK_GROUP=16 -DV_GROUP=16 -DK_SYM=0 -DV_SYM=0 \
				-DK_PARAMS_OFF=0 -DK_CODES_OFF=512 -DV_PARAMS_OFF=1536 -DV_CODES_OFF=2048
		done
	done
done
# two bits and four, with boosted channels and without; behind channels that are left out, for all tokens and for each
for boosted in 0 12; do
	for prune in '' '-DK_PRUNE=1 -DK_KEPT=40' '-DK_PRUNE=2 -DK_KEPT=40 -DRECOVER=4'; do
		for form in '-DLANES=1 -DVEC=8' '-DLANES=64 -DVEC=1' '-DLANES=32 -DVEC=4'; do
			for file in attend_partial seal_kitty read_rows recall_attend recall_score_tokens score_rows; do
				# shellcheck disable=SC2086 # several words each
				compile_some "$dir"/*/$file.cl $prune $form -DDK=80 -DDV=96 -DG=3 -DLAYERS=2 -DK_CODEC=4 -DV_CODEC=1 \
					-DK_BITS=2 -DV_BITS=2 -DK_AXIS=0 -DV_AXIS=1 -DK_GROUP=32 -DV_GROUP=32 -DK_SYM=0 -DV_SYM=0 \
					-DK_PARAMS_OFF=0 -DK_CODES_OFF=640 -DBOOSTED=$boosted -DBOOST_PLANE_OFF=1920 \
					-DBOOST_LIST_OFF=2112 -DV_PARAMS_OFF=2128 -DV_CODES_OFF=2896
			done
		done
	done
done
# uneven levels, with outliers and without
for more in '' '-DK_OUTLIERS=51 -DK_OUTLIERS_OFF=5376 -DV_OUTLIERS=61 -DV_OUTLIERS_OFF=5580'; do
	for form in '-DLANES=1 -DVEC=8' '-DLANES=1 -DVEC=16' '-DLANES=64 -DVEC=1' '-DLANES=32 -DVEC=4'; do
		for file in attend_partial seal_affine seal_outliers read_rows recall_attend recall_score_tokens score_rows; do
			# shellcheck disable=SC2086 # several words each
			compile_some "$dir"/*/$file.cl $more $form -DDK=80 -DDV=96 -DG=3 -DLAYERS=2 -DK_CODEC=1 -DV_CODEC=1 \
				-DK_BITS=3 -DV_BITS=3 -DK_AXIS=0 -DV_AXIS=1 -DK_GROUP=32 -DV_GROUP=32 -DK_SYM=0 -DV_SYM=0 -DK_CUT=60 -DV_CUT=60 \
				-DK_BEND=150 -DV_BEND=150 -DK_PARAMS_OFF=0 -DK_CODES_OFF=640 -DV_PARAMS_OFF=2560 -DV_CODES_OFF=3328
		done
	done
done
for recover in 0 1 2 3 4 5 6; do
	for form in '-DLANES=1 -DVEC=8' '-DLANES=64 -DVEC=1'; do
		for file in prune_tokens prune_size; do
			# shellcheck disable=SC2086
			compile_some "$dir"/*/$file.cl $form -DK_PRUNE=2 -DK_KEPT=72 -DK_LEAST=8 -DGROUPED=1 -DRECOVER=$recover \
				-DREFINE=$((recover == 4)) -DDK=80 -DDV=96 -DG=3 -DLAYERS=2
		done
	done
done
# blocks that lack channels: of K for all tokens, of K and V for each, as many as each token needs
for prune in '-DK_PRUNE=1 -DK_KEPT=40' '-DK_PRUNE=2 -DK_KEPT=40 -DRECOVER=4 -DREFINE=2' \
	'-DK_PRUNE=2 -DK_KEPT=40 -DRECOVER=0' '-DK_PRUNE=2 -DK_KEPT=40 -DRECOVER=6 -DSALIENCY_SQ=1'; do
	for form in '-DLANES=1 -DVEC=8' '-DLANES=64 -DVEC=1' '-DLANES=32 -DVEC=4'; do
		for file in prune_channels attend_partial read_rows seal_affine bounded_size bounded_write \
			bounded_verify bounded_count; do
			# shellcheck disable=SC2086 # several words each
			compile_some "$dir"/*/$file.cl $prune $form -DDK=80 -DDV=96 -DG=3 -DLAYERS=2
		done
		for file in prune_values attend_partial read_rows seal_affine; do
			# shellcheck disable=SC2086
			compile_some "$dir"/*/$file.cl $prune $form -DDK=80 -DDV=96 -DG=3 -DLAYERS=2 -DV_KEPT=48 -DK_BITS=16 \
				-DK_CODEC=0 -DV_CODEC=0 -DV_BITS=16 -DK_AXIS=0 -DV_AXIS=1 -DK_GROUP=16 -DV_GROUP=16 -DK_SYM=0 \
				-DV_SYM=0 -DK_PARAMS_OFF=0 -DK_CODES_OFF=8192 -DV_PARAMS_OFF=0 -DV_CODES_OFF=0
		done
	done
done
# turned by matrices
for form in '-DLANES=1 -DVEC=16' '-DLANES=64 -DVEC=1' '-DLANES=32 -DVEC=4'; do
	for file in append_rows attend_partial attend_merge read_rows recall_attend recall_score recall_score_tokens \
		index_metric score_rows score_sums; do
		# shellcheck disable=SC2086
		compile_some "$dir"/*/$file.cl $form -DPROJECT_K=2 -DPROJECT_V=2 -DDK=80 -DDV=112 -DG=3 -DSTREAMS=2 -DQ_HEADS=6 \
			-DOBSERVE=32
	done
done
# in steps of a calibration, as phrases and as planes
qtc='-DK_CODEC=5 -DV_CODEC=5 -DK_BITS=16 -DV_BITS=16 -DK_AXIS=0 -DV_AXIS=1 -DK_GROUP=16 -DV_GROUP=16 -DK_SYM=0 -DV_SYM=0'
for packed in 0 1; do # planes of keys in front of RoPE
	for form in '-DLANES=1 -DVEC=8' '-DLANES=1 -DVEC=16' '-DLANES=64 -DVEC=1' '-DLANES=32 -DVEC=4'; do
		for file in append_rows attend_partial attend_merge read_rows qtc_size qtc_write; do
			# shellcheck disable=SC2086
			compile_some "$dir"/*/$file.cl $form $qtc -DPROJECT_K=3 -DPROJECT_V=3 -DDK=80 -DDV=112 -DG=3 -DSTREAMS=2 \
				-DQ_HEADS=6 -DQTC_PACKED=$packed -DQTC_ROPE=$packed -DQTC_ROPE_DIMS=64 -DQTC_TURNED=$((packed * 20)) -DK_LANE_PARTS=4 -DV_LANE_PARTS=4 -DK_PARAMS_OFF=0 \
				-DK_CODES_OFF=0 -DV_PARAMS_OFF=0 -DV_CODES_OFF=0
		done
	done
done
# rows with widths of their own
qaq='-DK_CODEC=7 -DV_CODEC=7 -DK_BITS=16 -DV_BITS=16 -DK_AXIS=0 -DV_AXIS=1 -DK_GROUP=16 -DV_GROUP=16 -DK_SYM=0 -DV_SYM=0'
for more in '' '-DSTATE_BYTES=1024 -DQAQ_LEAST=0 -DQAQ_MOST=8 -DQAQ_EPS_K=1 -DQAQ_EPS_V=1 -DQAQ_QUERY=1 -DK_OUTLIERS=0 -DV_OUTLIERS=8 -DQAQ_CENTRED=1'; do
	for form in '-DLANES=1 -DVEC=8' '-DLANES=1 -DVEC=16' '-DLANES=64 -DVEC=1' '-DLANES=32 -DVEC=4'; do
		for file in attend_partial read_rows recall_attend recall_score_tokens score_rows gather_slots qaq_widths \
			qaq_size qaq_write; do
			# shellcheck disable=SC2086 # several words each
			compile_some "$dir"/*/$file.cl $form $qaq $more -DDK=80 -DDV=112 -DG=3 -DSTREAMS=2 -DQ_HEADS=6 -DLAYERS=2 \
				-DSECTION_ROOM=64 -DOBSERVE=8 -DK_PARAMS_OFF=0 -DK_CODES_OFF=0 -DV_PARAMS_OFF=704 -DV_CODES_OFF=0
		done
	done
done
# weights that attention leaves, of all heads of a group at a time and of some
for heads in 1 2 4; do
	for form in '-DLANES=1 -DVEC=8' '-DLANES=1 -DVEC=16' '-DLANES=64 -DVEC=1' '-DLANES=32 -DVEC=4'; do
		for file in attend_partial score_weights; do
			# shellcheck disable=SC2086 # several words each
			compile_some "$dir"/*/$file.cl $form -DG=4 -DHT=$heads -DTR=4 -DSTREAMS=2 -DQ_HEADS=8 -DSTATE_BYTES=1024 -DLEAVES=1 \
				-DTRACED=1 -DSCORE_ROWS=$((heads / 2)) -DSCORE_GROUP=$((heads / 2))
		done
	done
done
# latents of rows, in half and as codes
half='-DK_CODEC=0 -DV_CODEC=0 -DK_BITS=16 -DV_BITS=16 -DK_AXIS=0 -DV_AXIS=1 -DK_GROUP=16 -DV_GROUP=16 -DK_SYM=0 -DV_SYM=0'
half="$half -DK_PARAMS_OFF=0 -DK_CODES_OFF=0 -DV_PARAMS_OFF=4096 -DV_CODES_OFF=4096"
for form in '-DLANES=1 -DVEC=8' '-DLANES=1 -DVEC=16' '-DLANES=64 -DVEC=1' '-DLANES=32 -DVEC=4'; do
	for codec in "$half" ''; do
		for file in attend_partial seal_affine read_rows; do
			# shellcheck disable=SC2086 # several words each
			compile_some "$dir"/*/$file.cl $form $codec -DLATENTS=1 -DRANK_K=32 -DRANK_V=48 -DDK=80 -DDV=112 -DG=3 \
				-DSTREAMS=2 -DQ_HEADS=6
		done
	done
done
# latents of groups of heads, keys as they lie and turned back, or values alone
for form in '-DLANES=1 -DVEC=8' '-DLANES=1 -DVEC=16' '-DLANES=64 -DVEC=1' '-DLANES=32 -DVEC=4'; do
	for codec in "$half" ''; do
		for group in '-DKEY_HEADS=2 -DVALUE_HEADS=4 -DEXPANDS=1 -DLATENTS_TURN=1 -DROPE=1 -DROPE_DIMS=40' \
			'-DKEY_HEADS=1 -DVALUE_HEADS=1 -DEXPANDS=1 -DLATENTS_TURN=1 -DROPE=2' \
			'-DKEY_HEADS=4 -DVALUE_HEADS=1 -DEXPANDS=1' '-DKEY_HEADS=1 -DVALUE_HEADS=4'; do
			for file in attend_partial seal_affine read_rows; do
				# shellcheck disable=SC2086 # several words each
				compile_some "$dir"/*/$file.cl $form $codec $group -DLATENTS=1 -DRANK_K=32 -DRANK_V=48 -DDK=80 -DDV=112 \
					-DG=3 -DSTREAMS=4 -DQ_HEADS=12
			done
		done
	done
done
# rotated here: both kinds, all channels or the first ones
for rope in '-DROPE=1 -DROPE_DIMS=80' '-DROPE=2 -DROPE_DIMS=80' '-DROPE=1 -DROPE_DIMS=40' '-DROPE=2 -DROPE_DIMS=26'; do
	for form in '-DLANES=1 -DVEC=16' '-DLANES=64 -DVEC=1' '-DLANES=32 -DVEC=4 -DPROJECT_K=1'; do
		for file in append_rows attend_partial attend_merge observe_rows; do
			# shellcheck disable=SC2086
			compile_some "$dir"/*/$file.cl $rope $form -DROPE_BY_LIBRARY=1 -DOBSERVE=32 -DDK=80 -DDV=96 -DG=3
		done
	done
done
# recall: each kind of index, choices of one head or of all, codes and rows
rows='-DK_CODEC=3 -DV_CODEC=0 -DK_BITS=16 -DV_BITS=16 -DK_AXIS=0 -DV_AXIS=1 -DK_GROUP=16 -DV_GROUP=16 -DK_SYM=0'
rows="$rows -DV_SYM=0 -DK_PARAMS_OFF=0 -DK_CODES_OFF=0 -DV_PARAMS_OFF=10240 -DV_CODES_OFF=10240"
for form in '-DLANES=1 -DVEC=8' '-DLANES=1 -DVEC=16' '-DLANES=64 -DVEC=1' '-DLANES=32 -DVEC=4'; do
	for index in '-DINDEX=1' '-DINDEX=2 -DPAGE=16' '-DINDEX=3 -DMETRIC=0' '-DINDEX=3 -DMETRIC=2 -DOBSERVE=64' \
		'-DINDEX=4 -DMETRIC=1 -DROPE=1 -DDISTANCE=64' '-DINDEX=4 -DMETRIC=2 -DROPE=2 -DROPE_BY_LIBRARY=1'; do
		for file in recall_score recall_select recall_list index_points index_pages index_clusters index_metric; do
			# shellcheck disable=SC2086 # several words each
			compile_some "$dir"/*/$file.cl $form $index -DDK=80 -DDV=96 -DG=3 -DGROUPED_CHOICE=1
		done
	done
	for place in 1 2; do # rows in slots; the host's
		# shellcheck disable=SC2086
		compile_some "$dir/recall/recall_attend.cl" $form $rows -DPLACE=$place -DDK=80 -DDV=96 -DG=3
	done
	for codec in "$rows" '-DK_BITS=16 -DK_CODEC=0 -DV_CODEC=0 -DV_BITS=16 -DK_AXIS=0 -DV_AXIS=1 -DK_GROUP=16
		-DV_GROUP=16 -DK_SYM=0 -DV_SYM=0 -DK_PARAMS_OFF=0 -DK_CODES_OFF=0 -DV_PARAMS_OFF=0 -DV_CODES_OFF=0
		-DK_PRUNE=2 -DK_KEPT=40 -DRECOVER=4'; do
		for file in recall_attend recall_score_tokens attend_partial read_rows; do
			# shellcheck disable=SC2086
			compile_some "$dir"/*/$file.cl $form $codec -DINDEX=1 -DDK=80 -DDV=96 -DG=3 -DLAYERS=2
		done
	done
done
dir=${srcdir:-.}/tools
for file in "$dir"/*.cl; do
	for form in '-DLANES=1 -DROWS=1' '-DLANES=1 -DROWS=8' '-DLANES=32 -DROWS=1'; do
		# shellcheck disable=SC2086 # a form is several words
		compile_some "$file" $form
	done
done
echo "$n compilations, $bad failed"
[ $bad = 0 ]
