"""Independent work side by side: on a CPU one process a core, each with one thread; else one after the other."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

import torch

import devices


def spread(function, tasks: list[tuple], device: str) -> list:
    """Results of `function(*task)` in the order of `tasks`. What fails in a process is raised here."""
    if device != "cpu" or devices.count() > 1 or not tasks:
        return [function(*task) for task in tasks]
    context = multiprocessing.get_context("spawn")
    workers = min(len(tasks), len(os.sched_getaffinity(0)))
    with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
        running = [pool.submit(function, *task) for task in tasks]
        return [one.result() for one in running]
