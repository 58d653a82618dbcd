"""F2 of several ways to label images with several labels each, on collages of digits.

    python benchmarks/multi_label.py --weights ../shared/weights/squeezenet_v1.1.npz

Each arm is measured on 600 collages of digits that no training collage shows, with 0.5 for all labels and with
thresholds searched on 400 others. SqueezeNet v1.1 is fine-tuned with a sigmoid of all labels and with a softmax of the
four grounds; two networks from other seeds are averaged with it; and its features before fine-tuning go to
scikit-learn's classifiers. Claims: every arm above the best constant prediction; thresholds raise the F2 of every
fine-tuned network; the ensemble at least as good as the mean of its members. Nothing is claimed of the Amazon's images.
"""

import argparse
import os
import platform
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import keras_vision as kv
from keras_vision.data import LabelGroups, MultiLabelImages, Pipeline, digit_collages
from keras_vision.evaluation import (
    CLASSIFIERS,
    Thresholds,
    average_labels,
    describe,
    f_beta,
    label_classifier,
    label_scores,
    predict_labels,
    search_thresholds,
)
from keras_vision.model import VisionModel
from keras_vision.training import (
    MultiLabelCrossentropy,
    logits_model,
    most_frequent,
    multi_label_classifier,
    train,
    train_head_only,
)

GROUNDS = ("dark", "light", "striped", "noisy")
BATCH, HEAD_EPOCHS = 32, 2


def fine_tuned(
    images: MultiLabelImages, groups: LabelGroups, size: int, weights: Path, epochs: int, peak: float, seed: int
) -> VisionModel:
    """Head first, then all layers."""
    keras.utils.set_random_seed(seed)
    model = multi_label_classifier("SqueezeNetV1_1", groups, weights=weights, input_shape=(size, size, 3))
    trained = logits_model(model)
    batches = Pipeline(images, model.preprocessing, BATCH, seed=seed)
    for head_only, count in ((True, HEAD_EPOCHS), (False, epochs - HEAD_EPOCHS)):
        train_head_only(trained, head_only)
        rate = 1e-3 if head_only else keras.optimizers.schedules.CosineDecay(peak, count * batches.steps)
        loss = MultiLabelCrossentropy(groups.positions, from_logits=True)
        trained.compile(keras.optimizers.Adam(rate, clipnorm=1.0), loss, jit_compile=False)
        train(trained, lambda epoch, step: batches.epoch(epoch, step * BATCH), epochs=count)
    return model


def row(table: Table, name: str, groups: LabelGroups, parts, scores, start: float = 0.5, seconds: float = 0.0) -> tuple:
    """F2 of the test part before and after the search on the validation part."""
    found = search_thresholds(scores[0], parts[0].labels, groups, start=start)
    fixed = Thresholds(groups.names, (start,) * len(groups))
    before, after = (f_beta(parts[1].labels, rule.predict(scores[1])) for rule in (fixed, found))
    table.add_row(name, f"{before:.3f}", f"{after:.3f}", f"{seconds:.0f} s" if seconds else "")
    return before, after


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--weights", type=Path, required=True, help="of SqueezeNet v1.1 on ImageNet")
    parser.add_argument("--images", type=int, default=1200, help="training collages")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--rate", type=float, default=3e-4, help="of Adam for all layers, at first")
    parser.add_argument("--size", type=int, default=64, help="side in pixels")
    arguments = parser.parse_args()
    size, weights = arguments.size, arguments.weights
    training = digit_collages(arguments.images, size=size, seed=0)
    # other collages of the same digits, and collages of other digits
    parts = digit_collages(400, size=size, seed=1), digit_collages(600, "test", size=size, seed=2)
    names = training.class_names
    arms = {"sigmoid": LabelGroups(names), "softmax + sigmoid": LabelGroups(names, [GROUNDS])}
    table, results = Table("arm", "F2 at 0.5 (0)", "with thresholds", "training"), {}
    constant = f_beta(parts[1].labels, np.broadcast_to(most_frequent(training.labels), parts[1].labels.shape))
    table.add_row("the same labels for all", f"{constant:.3f}", "", "")
    members = {}
    networks = [*arms.items(), ("softmax + sigmoid, other seed", arms["softmax + sigmoid"])]
    for number, (name, groups) in enumerate(networks):
        begun = time.perf_counter()
        model = fine_tuned(training, groups, size, weights, arguments.epochs, arguments.rate, seed=number)
        seconds = time.perf_counter() - begun
        members[name] = [predict_labels(model, part.sources) for part in parts]
        results[name] = row(table, name, groups, parts, members[name], seconds=seconds)
    averaged = [average_labels({name: (names, scores[i]) for name, scores in members.items()}) for i in range(2)]
    ensemble = row(table, "ensemble of the three", arms["sigmoid"], parts, averaged)
    network = kv.create_model("SqueezeNetV1_1", weights=weights, input_shape=(size, size, 3))
    begun = time.perf_counter()
    features = [describe(network, part.sources, scales=(size,), mirror=False) for part in (training, *parts)]
    described = time.perf_counter() - begun
    classical = []
    for name in CLASSIFIERS:
        begun = time.perf_counter()
        classifier = label_classifier(name).fit(features[0], training.labels)
        scores, seconds = [label_scores(classifier, part) for part in features[1:]], time.perf_counter() - begun
        start = 0.0 if name == "svm" else 0.5
        classical.append(row(table, f"features + {name}", arms["sigmoid"], parts, scores, start, seconds))
    console = Console(width=110)
    console.print(table)
    mean = np.mean([after for _, after in results.values()])
    least = min(after for _, after in [*results.values(), ensemble, *classical])
    console.print(f"every arm above the constant? {least > constant}")
    console.print(f"thresholds raise every network? {all(after > before for before, after in results.values())}")
    console.print(f"ensemble {ensemble[1]:.3f} against the mean of its members {mean:.3f}? {ensemble[1] >= mean}")
    console.print(f"features of all images: {described:.0f} s. {platform.processor() or platform.machine()}")


if __name__ == "__main__":
    main()
