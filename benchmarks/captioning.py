"""Captions per second of a compiled, batched search against a decoder that runs image by image, word by word.

    python benchmarks/captioning.py [--runs 5] [--training]

Both have the same weights and give the same captions, greedy and with a beam of 5, of 32 images whose annotation
vectors are there already. With `--training`, words per second of batches of one length against batches that are filled
up, on captions of 6 to 24 words. They run in turn; medians of pairwise ratios.
"""

import argparse
import os
import platform
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from rich.console import Console
from rich.table import Table

from keras_vision.captioning import ShowAttendTell
from keras_vision.runtime.caption_words import END, NEVER, SPECIAL, START
from keras_vision.training.recipes.caption_data import NumberedCaptions, caption_epochs

IMAGES, PEERS, LONGEST, WORDS = 32, 4, 20, 1000  # PEERS: images that the slow one does, for its rate


def captioner():
    """The small recipe's network, with weights of some size, so that captions differ."""
    vocabulary = [*SPECIAL, *(f"w{k}" for k in range(WORDS - len(SPECIAL)))]
    model = ShowAttendTell(
        vocabulary, encoder="SqueezeNetV1_1", tap="fire9", units=160, embedding=96, keys=96, dropout=0.0, seed=0
    )
    rng = np.random.default_rng(0)
    for weight in model.decoder.trainable_weights:
        weight.assign(rng.normal(0, 0.1, weight.shape))
    return model


def eager(model, annotations, beam):
    """Image by image, word by word, as one writes it first."""
    never = np.zeros(len(model.vocabulary), "float32")
    never[list(NEVER)] = -1e9
    captions = []
    for image in annotations:
        beams = [([], 0.0, model.first_states(tf.constant(image[None])))]
        for _ in range(LONGEST):
            grown = []
            for words, score, states in beams:
                if words and words[-1] == END:
                    grown.append((words, score, states))
                    continue
                last = tf.constant([words[-1] if words else START])
                logits, after, _ = model.next_word(last, states)
                log_p = tf.nn.log_softmax(logits + never)[0].numpy()
                grown += [([*words, int(w)], score + float(log_p[w]), after) for w in np.argsort(-log_p)[:beam]]
            beams = sorted(grown, key=lambda one: -one[1])[:beam]
            if all(words[-1] == END for words, *_ in beams):
                break
        captions.append(beams[0][0])
    return captions


def seconds(call):
    start = time.perf_counter()
    found = call()
    return time.perf_counter() - start, found


def in_turn(ours, theirs, runs):
    """Median seconds of both, and all ratios, sorted; the first call of ours compiles, and is not counted."""
    ours()
    pairs = [(seconds(ours)[0], seconds(theirs)[0]) for _ in range(runs)]
    return *(statistics.median(side) for side in zip(*pairs, strict=True)), sorted(b / a for a, b in pairs)


def decoding(table, runs):
    model = captioner()
    shape = (IMAGES, model.cell.locations, model.cell.channels)
    annotations = np.random.default_rng(1).normal(0, 1, shape).astype("float32")
    for beam in (1, 5):
        told = model.tell(annotations, beam=beam, longest=LONGEST)
        few = eager(model, annotations[:PEERS], beam)
        same = sum(told.words[k, 0, : len(words)].tolist() == words for k, words in enumerate(few))
        mine, other, ratios = in_turn(
            lambda beam=beam: model.tell(annotations, beam=beam, longest=LONGEST),
            lambda beam=beam: eager(model, annotations[:PEERS], beam),
            runs,
        )
        ratios = [ratio * IMAGES / PEERS for ratio in ratios]
        name = f"{'greedy' if beam == 1 else f'beam {beam}'}, batch of {IMAGES}; {same} of {len(few)} alike"
        row(table, name, IMAGES / mine, PEERS / other, ratios)


def training(table, runs):
    rng, model = np.random.default_rng(2), captioner()
    lengths = np.clip(rng.gamma(9, 1.3, 1280).round().astype(int), 6, 24)
    numbers = [rng.integers(len(SPECIAL), WORDS, n).astype(np.int32) for n in lengths]
    captions = NumberedCaptions(list(range(64)), [], rng.integers(0, 64, 1280), numbers, {})
    kept = rng.normal(0, 1, (64, model.cell.locations, model.cell.channels)).astype("float32")
    decoder = model.decoder
    decoder.compile(keras.optimizers.Adam(1e-4), jit_compile=False)
    decoder.optimizer.build(decoder.trainable_variables)
    step = tf.function(decoder.train_step, reduce_retracing=True)
    words = int(lengths.sum()) + len(lengths)

    def epoch(bucketed):
        batches = caption_epochs(captions, kept.__getitem__, 64, 0, bucketed=bucketed)
        return lambda: [step(batch) for batch in batches(0, 0)]

    epoch(False)()
    mine, other, ratios = in_turn(epoch(True), epoch(False), runs)
    row(table, "training, words: of one length, filled up", words / mine, words / other, ratios)


def row(table, name, mine, other, ratios):
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    table.add_row(name, f"{mine:.1f}", f"{other:.1f}", f"{statistics.median(ratios):.2f}", spread)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--training", action="store_true", help="also batches of one length against filled ones")
    given = parser.parse_args()
    table = Table("what", "ours, 1/s", "other, 1/s", "ratio", "range")
    decoding(table, given.runs)
    if given.training:
        training(table, given.runs)
    console = Console()
    console.print(table)
    console.print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} processors, {given.runs} runs, in turn"
    )


if __name__ == "__main__":
    main()
