"""Cluttered translated MNIST, 100 x 100 pixels: Table 1 of DRAW (Gregor et al., 2015), section 4.1.

    keras-vision recipes run glimpses-8-cluttered-mnist MNIST OUT
    keras-vision recipes run glimpses-4-cluttered-mnist MNIST OUT
    keras-vision recipes run ram-8-cluttered-mnist MNIST OUT
    keras-vision recipes run convolutional-cluttered-mnist MNIST OUT

One digit at a random place and eight pieces of 9 x 9 pixels of others, made anew for each batch of MNIST's training
digits; of the last sixth of them validation images are made. The paper's errors: 3.36 and 4.18 % with 8 and 4 glimpses
of 12 x 12 filters, RAM 8.11 and 9.41 %, a convolutional network 14.35 %. Rates, batches and the length of training are
not printed in what was at hand, and are chosen here: an hour of training steps for each arm, with Adam.
"""

import dataclasses

from keras_vision.training.recipes.glimpse_settings import GlimpseRecipe

GLIMPSES8 = GlimpseRecipe(
    name="glimpses-8-cluttered-mnist",
    result="3.36 % error (Table 1)",
    model="GlimpseClassifier",
    model_settings=dict(steps=8, unroll=True),
    data="MNIST",
    epochs=1000,
    batch_size=100,
    optimizer="adam",
    learning_rate=1e-3,
    clip=1.0,
    minutes=60.0,
    jit_compile=True,
)

RECIPES = (
    GLIMPSES8,
    dataclasses.replace(
        GLIMPSES8,
        name="glimpses-4-cluttered-mnist",
        result="4.18 % error (Table 1)",
        model_settings=dict(steps=4, unroll=True),
    ),
    dataclasses.replace(
        GLIMPSES8,
        name="ram-8-cluttered-mnist",
        result="8.11 % error (Table 1)",
        model="RAM",
        model_settings=dict(steps=8),
        jit_compile=False,
    ),
    dataclasses.replace(
        GLIMPSES8,
        name="convolutional-cluttered-mnist",
        result="14.35 % error (Table 1)",
        model="ConvolutionalBaseline",
        model_settings=dict(),
        jit_compile=False,
    ),
)
