"""DRAW as loops in NumPy, float64: the equations of sections 2 and 3 with LSTMs written out."""

import numpy as np
from draw_oracle import naive_read_at, naive_write_at


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def dense(layer, x):
    kernel, bias = (np.asarray(w, np.float64) for w in layer.get_weights())
    return x @ kernel + bias


def lstm(cell, x, h, c):
    kernel, recurrent, bias = (np.asarray(w, np.float64) for w in cell.get_weights())
    i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def naive_draw(model, image, noise):
    """Canvas after each step, and nats of codes, of one image `(h, w, c)` and noise `(T, z)`."""
    cell, start = model.cell, model.get_layer("start")
    states = np.zeros((4, cell.units))
    canvas = np.zeros(image.shape)
    if start.learned:
        canvas, states = np.asarray(start.canvas, np.float64).reshape(image.shape), np.array(start.states, np.float64)
    h_enc, c_enc, h_dec, c_dec = states
    read, write = cell.patches
    canvases, nats = [], 0.0
    for e in noise:
        both = np.concatenate([image, image - sigmoid(canvas)], -1)
        glimpse = both if read is None else naive_read_at(both, dense(cell.read.placed, h_dec), read)
        h_enc, c_enc = lstm(cell.encoder, np.concatenate([glimpse.ravel(), h_dec]), h_enc, c_enc)
        mean, sigma = dense(cell.mean, h_enc), np.exp(dense(cell.log_sigma, h_enc))
        h_dec, c_dec = lstm(cell.decoder, mean + sigma * e, h_dec, c_dec)
        if write is None:
            canvas = canvas + dense(cell.write.drawn, h_dec).reshape(image.shape)
        else:
            patch = dense(cell.write.drawn, h_dec).reshape(write, write, -1)
            canvas = canvas + naive_write_at(patch, dense(cell.write.placed, h_dec), image.shape[:2])
        canvases.append(canvas)
        nats += 0.5 * (mean**2 + sigma**2 - np.log(sigma**2)).sum() - len(e) / 2
    return np.array(canvases), nats
