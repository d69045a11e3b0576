"""The workers: long-lived processes of one thread, driven by lines (`src/lib.rs` has the protocol)."""

import os
import subprocess
from pathlib import Path

import onnxruntime

ONE_THREAD = {"OMP_NUM_THREADS": "1", "RTEN_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}


class WorkerError(Exception):
    """The worker ended; the message is what it last said."""


class Worker:
    """One engine with one graph loaded. `load_ns` is the CPU time of loading."""

    def __init__(self, command, library=None):
        environment = os.environ | ONE_THREAD
        environment["ORT_DYLIB_PATH"] = str(library or shared_library())
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)
        self.load_ns = int(self.answer("loaded"))

    def answer(self, word):
        line = self.process.stdout.readline()
        if not line.startswith(word + " "):
            self.process.kill()
            said = self.process.communicate()[1].strip().splitlines()
            raise WorkerError(said[-1] if said else f"found {line!r}, expected {word}")
        return line.split(" ", 1)[1].strip()

    def ask(self, line, word):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer(word)

    def run(self, count):
        """CPU time of one inference, nanoseconds, mean of `count`."""
        return int(self.ask(f"run {count}", "ran")) / count

    def write(self, path):
        self.ask(f"write {path}", "wrote")

    def peak(self):
        return int(self.ask("peak", "peak"))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def shared_library():
    """onnxruntime's shared library, as the installed wheel has it."""
    capi = Path(onnxruntime.__file__).parent / "capi"
    return next(capi.glob("libonnxruntime.so.*"))


def command(binaries, engine, graph, inputs):
    """What starts the worker of an engine: `hilbert`, `hilbert:f32`, `tract`, `onnxruntime` or `rten`."""
    name, _, option = engine.partition(":")
    return [str(binaries / f"worker-{name}"), str(graph), str(inputs)] + ([option] if option else [])
