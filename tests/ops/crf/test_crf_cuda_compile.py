"""The CUDA core compiled by nvcc, where there is one, for several architectures; without a GPU it tells so."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from cuda_library import compile_for_gpus

CUDA_FAILED = 4  # enum kv_cuda_status
ARCHITECTURES = (75, 80, 90)


def test_compiles_and_tells_of_a_missing_gpu(tmp_path):
    nvcc = shutil.which("nvcc")
    if nvcc is None:
        return  # nothing to compile
    library = compile_for_gpus(nvcc, tmp_path, ARCHITECTURES)
    if dump := shutil.which("cuobjdump"):
        listed = subprocess.run([dump, "-lelf", "-lptx", str(library)], capture_output=True, text=True).stdout
        assert [f"sm_{number}.cubin" in listed for number in ARCHITECTURES] == [True] * 3
        assert f"sm_{ARCHITECTURES[-1]}.ptx" in listed
    code = f"""
import sys
sys.path[:0] = [{str(Path(__file__).parent)!r}]
from core_library import *
from cuda_library import *
library = CudaCore({str(library)!r})
forward = mean_field_arguments(np.zeros((4, 5, 2)))
for arguments in (
    forward,
    gradient_arguments(forward, np.ones((4, 5, 2))),
    filter_arguments(np.ones((9, 2)), np.ones((9, 2))),
):
    try:
        library.call(arguments)
    except CoreError as error:
        print(error)
"""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert len(said) == 3
    assert all(line.startswith(f"status {CUDA_FAILED}: CUDA failed to start its work: ") for line in said), said
