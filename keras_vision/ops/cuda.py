"""Finding NVIDIA's compiler, and whether kernels for GPUs are wanted here.

Environment: KERAS_VISION_CUDA is "auto" (where TensorFlow sees a GPU), "0" (never) or "1" (also without a GPU, and it
is an error if they cannot be compiled); KERAS_VISION_CUDA_ARCHITECTURES, such as "80,90", says for which GPUs; CUDACXX
names nvcc, whose CUDA must not be newer than the driver.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_vision.errors import KerasVisionError
from keras_vision.ops.compiler import BuildError

# Turing, Ampere (and Ada, which runs its code) and Hopper; later ones compile the last one's PTX when they load it.
ARCHITECTURES = "75,80,90"


@dataclass(frozen=True)
class Toolkit:
    """NVIDIA's compiler, and the folders of its toolkit that a C++ compiler needs."""

    nvcc: str
    include: str
    libraries: str


def toolkit() -> Toolkit | None:
    """Of `$CUDACXX`, else of nvcc on PATH, else in `$CUDA_HOME` or /usr/local/cuda; None if it is not whole."""
    given, home = os.environ.get("CUDACXX", "").strip(), os.environ.get("CUDA_HOME", "/usr/local/cuda")
    found = shutil.which(given or "nvcc") or (None if given else shutil.which("nvcc", path=f"{home}/bin"))
    if found is None:
        return None
    # nvcc may be a script or a link elsewhere, so its own folder is only the first guess.
    for root in (Path(os.path.realpath(found)).parents[1], Path(home)):
        libraries = [root / name for name in ("lib64", "lib") if (root / name / "libcudart_static.a").is_file()]
        if libraries and (root / "include/cuda_runtime_api.h").is_file():
            return Toolkit(found, str(root / "include"), str(libraries[0]))
    return None


def architectures() -> tuple[int, ...]:
    """Of the GPUs to compile for, rising: 75 is compute capability 7.5.

    Raises:
        KerasVisionError: `$KERAS_VISION_CUDA_ARCHITECTURES` holds something else.
    """
    given = os.environ.get("KERAS_VISION_CUDA_ARCHITECTURES", "").strip() or ARCHITECTURES
    if not re.fullmatch(r"\d{2,3}( *, *\d{2,3})*", given):
        raise KerasVisionError(
            f"KERAS_VISION_CUDA_ARCHITECTURES must be compute capabilities such as '80,90', not {given!r}."
        )
    return tuple(sorted({int(number) for number in given.split(",")}))


def targets() -> tuple[str, ...]:
    """Flags of nvcc: code for each architecture, and PTX of the last for those to come."""
    numbers = architectures()
    each = [f"-gencode=arch=compute_{number},code=sm_{number}" for number in numbers]
    return (*each, f"-gencode=arch=compute_{numbers[-1]},code=compute_{numbers[-1]}")


def required() -> bool:
    """Whether the user insists on kernels for GPUs.

    Raises:
        KerasVisionError: `$KERAS_VISION_CUDA` is none of its values.
    """
    choice = _choice()
    if choice not in ("auto", "0", "1"):
        raise KerasVisionError(f"KERAS_VISION_CUDA must be auto, 0 or 1, not {choice!r}.")
    return choice == "1"


def allowed() -> bool:
    """Whether TensorFlow could have kernels for GPUs, and the user does not refuse them."""
    import tensorflow as tf

    return _choice() != "0" and tf.test.is_built_with_cuda()


def wanted() -> Toolkit | None:
    """The toolkit, if kernels for GPUs are to be compiled, else None.

    Raises:
        BuildError: the user insists on them, and TensorFlow knows no GPU or there is no toolkit.
    """
    import tensorflow as tf

    must = required()
    if not must and not (allowed() and tf.config.list_physical_devices("GPU")):
        return None
    found = toolkit()
    if must and not (found and tf.test.is_built_with_cuda()):
        raise BuildError(_missing(tf))
    return found


def _choice() -> str:
    return os.environ.get("KERAS_VISION_CUDA", "").strip() or "auto"


def _missing(tf: Any) -> str:
    what = "there is no whole CUDA toolkit" if tf.test.is_built_with_cuda() else "this TensorFlow is built without CUDA"
    return (
        f"KERAS_VISION_CUDA=1 asks for kernels for GPUs, and {what}. Install it (nvcc, its headers and "
        "libcudart_static.a; `pip install tensorflow` on Linux knows GPUs), set CUDACXX to nvcc, or unset "
        "KERAS_VISION_CUDA."
    )
