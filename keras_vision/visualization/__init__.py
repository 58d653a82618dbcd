"""Pictures of what models and operations do; imported on first use, as those of operations need TensorFlow."""

from typing import TYPE_CHECKING

from keras_vision.lazy import on_first_use

if TYPE_CHECKING:
    from keras_vision.visualization.attention_maps import attention_overlay, attention_page, attention_picture
    from keras_vision.visualization.dense_crf import crf_iterations
    from keras_vision.visualization.draw_sequences import drawing_frames, grid, write_animation
    from keras_vision.visualization.edge_curves import boundary_curves
    from keras_vision.visualization.evidence_pictures import gradient_picture, heat_picture, occlusion_picture
    from keras_vision.visualization.gradients import deconvnet, guided_backpropagation, saliency
    from keras_vision.visualization.heat_maps import grad_cam, occlusion
    from keras_vision.visualization.segmentation import overlay
    from keras_vision.visualization.trimap import trimap_curves

__all__ = [
    "attention_overlay",
    "attention_page",
    "attention_picture",
    "boundary_curves",
    "crf_iterations",
    "deconvnet",
    "drawing_frames",
    "grad_cam",
    "gradient_picture",
    "grid",
    "guided_backpropagation",
    "heat_picture",
    "occlusion",
    "occlusion_picture",
    "overlay",
    "saliency",
    "trimap_curves",
    "write_animation",
]

_HOMES = {
    "attention_overlay": "attention_maps",
    "attention_page": "attention_maps",
    "attention_picture": "attention_maps",
    "boundary_curves": "edge_curves",
    "crf_iterations": "dense_crf",
    "deconvnet": "gradients",
    "grad_cam": "heat_maps",
    "gradient_picture": "evidence_pictures",
    "guided_backpropagation": "gradients",
    "heat_picture": "evidence_pictures",
    "occlusion": "heat_maps",
    "occlusion_picture": "evidence_pictures",
    "drawing_frames": "draw_sequences",
    "grid": "draw_sequences",
    "overlay": "segmentation",
    "saliency": "gradients",
    "trimap_curves": "trimap",
    "write_animation": "draw_sequences",
}

__getattr__, __dir__ = on_first_use(__name__, _HOMES)
