"""Random calls of the C++ core under sanitizers: fuzz.cc for `KERAS_VISION_FUZZ_SECONDS`, a minute if unset."""

import os
import subprocess
from pathlib import Path

import pytest
from core_library import compile_core

SECONDS = float(os.environ.get("KERAS_VISION_FUZZ_SECONDS", "60"))
FLAGS = ("-std=c++17", "-O1", "-g1", "-ffp-contract=fast", "-Wno-psabi", "-fno-omit-frame-pointer")
OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_init_order=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1",
}


def fuzz(folder: Path, *flags: str) -> None:
    program = compile_core(folder, (*FLAGS, *flags), Path(__file__).with_name("fuzz.cc"))
    done = subprocess.run(
        [program, str(SECONDS), "1"],
        env={**os.environ, **OPTIONS},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=10 * SECONDS + 300,
    )
    assert done.returncode == 0, done.stdout[-10_000:]
    calls = int(done.stdout.split()[0])
    assert calls > SECONDS


def test_no_access_out_of_bounds_leak_or_undefined_behaviour(tmp_path):
    fuzz(tmp_path, "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.mark.slow
def test_no_data_race(tmp_path):
    fuzz(tmp_path, "-fsanitize=thread")
