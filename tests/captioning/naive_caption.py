"""Equations 1 to 7 of Show, Attend and Tell, word by word and location by location, in NumPy."""

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softmax(x):
    exponentials = np.exp(x - x.max())
    return exponentials / exponentials.sum()


def weights_of(model):
    """Arrays by the last two parts of their path, in float64."""
    return {"/".join(w.path.split("/")[-2:]): np.asarray(w, np.float64) for w in model.weights}


def first(model, annotations, w=None):
    """h and c before the first word; `w` takes the place of the model's own weights."""
    w, mean = w or weights_of(model), annotations.mean(0)
    return [np.tanh(mean @ w[f"start_{s}/kernel"] + w[f"start_{s}/bias"]) for s in "hc"]


def naive_step(model, annotations, word, h, c, w=None):
    """Logits, h, c and alpha after a word; of hard attention with the expected context."""
    w, cell = w or weights_of(model), model.cell
    if cell.attention == "mean":
        alpha = np.full(len(annotations), 1 / len(annotations))
    else:
        scores = []
        for a in annotations:  # equation 4
            hidden = np.tanh(a @ w["keys/kernel"] + h @ w["attention_query/kernel"] + w["attention_query/bias"])
            scores.append((hidden @ w["attention_score/kernel"])[0])
        alpha = softmax(np.array(scores))  # equation 5
    z = sum(p * a for p, a in zip(alpha, annotations, strict=True))
    if cell.gate:
        z = sigmoid(h @ w["beta/kernel"] + w["beta/bias"]) * z
    embedded = w["embedding/embeddings"][word]
    gates = np.concatenate([embedded, z]) @ w["lstm/kernel"] + h @ w["lstm/recurrent_kernel"] + w["lstm/bias"]
    i, f, g, o = np.split(gates, 4)  # Keras' order; equation 1
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    total = embedded + h @ w["output_h/kernel"] + w["output_h/bias"] + z @ w["output_z/kernel"]
    return total @ w["output/kernel"] + w["output/bias"], h, c, alpha


def log_softmax(logits):
    return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())


def naive_caption(model, annotations, before, w=None):
    """Logits `(T, K)` and attention `(T, L)` of one caption, in float64."""
    a, found = annotations.astype(np.float64), []
    h, c = first(model, a, w)
    for word in before:
        logits, h, c, alpha = naive_step(model, a, word, h, c, w)
        found.append((logits, alpha))
    return [np.stack(part) for part in zip(*found, strict=True)]


def naive_loss(model, annotations, before, words, penalty, w=None):
    """Loss of soft attention and log-probability of one caption."""
    logits, alpha = naive_caption(model, annotations, before, w)
    length = int((words > 0).sum())
    log_p = sum(log_softmax(logits[t])[words[t]] for t in range(length))
    return penalty * ((1 - alpha[:length].sum(0)) ** 2).sum() - log_p, log_p
