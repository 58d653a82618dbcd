"""ResNet-20 and ResNet-110 on CIFAR-10 (He et al., 2015), section 4.2 and Table 6.

    keras-vision recipes run resnet-20-cifar CIFAR10 OUT
    keras-vision recipes run resnet-110-cifar CIFAR10 OUT

SGD with batches of 128, momentum 0.9, weight decay 1e-4, a rate of 0.1 that is divided by 10 after 32,000 and 48,000
updates, 64,000 in all, which are 164 epochs of 50,000 images; padding by 4 pixels, random crop, mirror image. 8.75 %
error with 20 layers; 6.43 % with 110 in the best of five runs, 6.61 % on average. ResNet-110 warms up at 0.01: the
paper until the training error is below 80 %, which is at about 400 updates, here for 400. The paper's machine: two
GPUs (from memory); hours are not published. Not repeated here.

Deviations: pixels are normalised by channel, where the paper subtracts a mean image; a last batch of 80 images is
left out of each epoch. The rates fall after whole epochs: 31,980 and 47,970 updates.
"""

import dataclasses

from keras_vision.training.recipes.settings import Recipe

RESNET20 = Recipe(
    name="resnet-20-cifar",
    result="8.75 % error (Table 6)",
    model="ResNet20CIFAR",
    data="CIFAR-10",
    size=32,
    epochs=164,
    batch_size=128,
    learning_rate=0.1,
    schedule="step",
    decay_epochs=(82, 123),
    weight_decay=1e-4,
    augment="cifar",
)

RECIPES = (
    RESNET20,
    dataclasses.replace(
        RESNET20,
        name="resnet-110-cifar",
        result="6.43 % error, 6.61 % on average (Table 6)",
        model="ResNet110CIFAR",
        warm_up_rate=0.01,
        warm_up_steps=400,
    ),
)
