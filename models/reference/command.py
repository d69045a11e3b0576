"""The command line that the long runs share."""

import argparse
from pathlib import Path

import torch


def parser(description: str, out: str | None) -> argparse.ArgumentParser:
    """With the data folder, the cache, the place of the result and the seed."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--data", type=Path, required=True)
    result.add_argument("--cache", type=Path, default=Path("cache"))
    result.add_argument("--out", type=Path, default=out and Path(out))
    result.add_argument("--seed", type=int, default=0)
    return result


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"
