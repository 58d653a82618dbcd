"""The study on Tiny ImageNet (Le & Yang, 2015): its base net, its last one, and training on wrong labels.

    keras-vision recipes run tiny-imagenet-base TINY_IMAGENET OUT
    keras-vision recipes run tiny-imagenet-base TINY_IMAGENET OUT --set model=TinyImageNet6
    keras-vision recipes run tiny-imagenet TINY_IMAGENET OUT
    keras-vision recipes run tiny-imagenet-noise TINY_IMAGENET OUT --set label_noise=0.2

200 classes, 64 x 64 pixels, 500 training and 50 validation images of each. The study compares nets of five to eight
layers, kernels of 5x5 and 3x3, ReLU and PReLU, dropout, and noise in the data; its best net has 44.4 % error on the
test images. Hours and machine were not at hand. Not repeated here.

Deviations: the report's schedule, rate, weight decay and augmentation were not at hand. Here momentum SGD with batches
of 128, a rate of 0.001 that is divided by 10 when the accuracy stops improving, three times in all, an L2 penalty of
5e-4; padding by 4 pixels, random crop and mirror image for the last net.
"""

import dataclasses

from keras_vision.training.recipes.settings import Recipe

BASE = Recipe(
    name="tiny-imagenet-base",
    result="where the study starts; its error was not at hand",
    model="TinyImageNet5",
    data="Tiny ImageNet",
    size=64,
    epochs=60,
    batch_size=128,
    learning_rate=1e-3,
    schedule="plateau",
    weight_decay=5e-4,
    decay_all=False,
)

LAST = dataclasses.replace(
    BASE,
    name="tiny-imagenet",
    result="44.4 % error on the test images (abstract)",
    model="TinyImageNet8PReLUDropout",
    augment="cifar",
)

RECIPES = (
    BASE,
    LAST,
    dataclasses.replace(
        LAST,
        name="tiny-imagenet-noise",
        result="its figures were not at hand; 10 % of the labels wrong",
        label_noise=0.1,
    ),
)
