"""Round-robin timing and what is made of it."""

import statistics

import numpy as np


def round_robin(workers, rounds, repeats, runs):
    """Times `{name: worker}` in turn; returns each one's rounds, the least of `repeats` means over `runs` inferences.

    A machine that slows down slows all of them. The least of a round discards what other processes did within it, the
    median over rounds (`summarise`) what they did for longer.
    """
    for worker in workers.values():
        worker.run(runs)
    times = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            times[name].append(min(worker.run(runs) for _ in range(repeats)))
    return times


def summarise(times, base):
    """Medians over rounds, and the median of each round's ratio to `base`, with its quartiles."""
    summary = {}
    for name, rounds in times.items():
        ratios = [time / of_base for time, of_base in zip(rounds, times[base])]
        low, middle, high = np.percentile(ratios, [25, 50, 75])
        summary[name] = {
            "median_ns": statistics.median(rounds),
            "ratio": float(middle),
            "ratio_quartiles": [float(low), float(high)],
        }
    return summary


def signal_to_noise(outputs, reference):
    """Decibels of each output of `reference` over its difference; infinite where they are the same."""
    ratios = []
    for name in sorted(reference):
        signal = np.sum(reference[name].astype(np.float64) ** 2)
        noise = np.sum((reference[name].astype(np.float64) - outputs[name].astype(np.float64)) ** 2)
        ratios.append(float(10 * np.log10(signal / noise)) if noise > 0 else float("inf"))
    return ratios


def fastest(times, count=1):
    """The names of the `count` least medians."""
    return sorted(times, key=lambda name: statistics.median(times[name]))[:count]
