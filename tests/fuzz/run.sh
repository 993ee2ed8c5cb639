#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Builds the fuzz targets with clang, libFuzzer and the sanitizers, and runs each of them on its corpus; PS_FUZZ_SECONDS (60) for
# all together. What a target could not bear is left in the build directory, and its name printed.
#
#	tests/fuzz/run.sh SOURCE_DIR BUILD_DIR
set -euo pipefail

source=$1 build=$2
seconds=${PS_FUZZ_SECONDS:-60}
clang=$(command -v "${PS_CLANG:-clang}" || true)
if [ -z "$clang" ] || ! echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { return !d + !n > 2; }' |
	"$clang" -fsanitize=fuzzer,address,undefined -x c -o /dev/null - 2>/dev/null; then
	echo "skipped: clang with libFuzzer is not installed (packaging/setup.sh test)"
	exit 77
fi

names=()
for file in "$source"/tests/fuzz/fuzz_*.c; do
	names+=("$(basename "$file" .c)")
done
cmake -S "$source" -B "$build" -G Ninja -DCMAKE_C_COMPILER="$clang" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DPS_SANITIZE=ON -DPS_FUZZ=ON >"$build.log"
cmake --build "$build" --target "${names[@]}" >>"$build.log" || {
	tail -40 "$build.log"
	exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
for name in "${names[@]}"; do
	corpus=$source/tests/fuzz/corpus/${name#fuzz_}
	mkdir "$work/$name"
	# 600 MB: ASan's own; what an input may make us allocate is bounded far below (the limit of one allocation).
	if "$build/tests/$name" -max_total_time=$((seconds / ${#names[@]})) -max_len=8192 -timeout=10 -rss_limit_mb=600 \
		-malloc_limit_mb=64 -print_final_stats=1 -artifact_prefix="$build/$name-" "$work/$name" "$corpus" >"$work/log" 2>&1; then
		echo "ok   $name: $(grep -o 'stat::number_of_executed_units: *[0-9]*' "$work/log" | grep -o '[0-9]*$') inputs," \
			"$(grep -o 'cov: [0-9]*' "$work/log" | tail -1)"
	else
		tail -40 "$work/log"
		echo "FAIL $name"
		failed=1
	fi
done
exit $failed
