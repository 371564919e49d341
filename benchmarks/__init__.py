"""Speed and memory, as ratios in one run against what users would otherwise do; ``make bench`` runs all."""
