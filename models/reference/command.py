"""The command line that the long runs share."""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import devices


def parser(description: str, out: str | None) -> argparse.ArgumentParser:
    """With the data folder, the cache, the place of the result and the seed."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--data", type=Path, required=True)
    result.add_argument("--cache", type=Path, default=Path("cache"))
    result.add_argument("--out", type=Path, default=out and Path(out))
    result.add_argument("--seed", type=int, default=0)
    return result


@contextmanager
def stopwatch(path: Path) -> Iterator[Callable[[], float]]:
    """Gives a function: seconds of this run and of those before it with this file, even if stopped, not if killed."""
    began = time.time()
    before = json.loads(path.read_text()) if path.exists() else 0.0

    def seconds() -> float:
        return before + time.time() - began

    try:
        yield seconds
    finally:
        if not devices.rank():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(seconds()))


def device() -> str:
    return devices.start()
