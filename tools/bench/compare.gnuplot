# SPDX-License-Identifier: Apache-2.0
# Called by tools/bench/compare with data, chart and peers set.
set terminal pngcairo size 1100,520 font "sans,11"
set output chart
set datafile separator "\t"
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.85 border -1
set boxwidth 0.9
set grid ytics lc rgb "#dddddd"
set ylabel "gateway CPU, seconds per million messages"
set xtics rotate by -25
set key top left autotitle columnheader
set yrange [0:*]
set title "CPU that the gateway adds to an echoed message (lower is better)"
plot for [i=2:peers+1] data using i:xtic(1)
