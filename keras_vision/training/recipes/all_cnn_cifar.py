"""All-CNN-C on CIFAR-10 (Springenberg et al., 2014), section 3 and Table 3.

    keras-vision recipes run all-cnn-c-cifar CIFAR10 OUT
    keras-vision recipes run all-cnn-c-cifar-augmented CIFAR10 OUT
    keras-vision recipes run all-cnn-c-cifar CIFAR10 OUT --set model=StridedCNNC

SGD with momentum 0.9, weight decay 0.001, 350 epochs at a rate that is divided by 10 after 200, 250 and 300; dropout of
20 % of the image and of 50 % after each pooling or what is in its place. The figures of this paper are from memory.
Error without augmentation, of the base network, Strided, ConvPool and All: 12.47, 13.46, 10.21 and 10.30 % (A); 10.20,
10.98, 9.33 and 9.10 % (B); 9.74, 10.19, 9.31 and 9.08 % (C). With mirror images and moves by up to 5 pixels, All-CNN-C
has 7.25 %. Hours and machine are not published. Not repeated here.

Deviations: the paper takes the best of the rates 0.25, 0.1, 0.05 and 0.01 and does not say which that was, nor how
large a batch is: here 0.05 and 128. Pixels are normalised by channel, not whitened; a last batch of 80 images is left
out of each epoch.
"""

import dataclasses

from keras_vision.training.recipes.settings import Recipe

PLAIN = Recipe(
    name="all-cnn-c-cifar",
    result="9.08 % error without augmentation (Table 3)",
    model="AllCNNC",
    data="CIFAR-10",
    size=32,
    epochs=350,
    batch_size=128,
    learning_rate=0.05,
    schedule="step",
    decay_epochs=(200, 250, 300),
    weight_decay=1e-3,
)

RECIPES = (
    PLAIN,
    dataclasses.replace(
        PLAIN,
        name="all-cnn-c-cifar-augmented",
        result="7.25 % error with augmentation (Table 4)",
        augment="cifar",
        augment_settings=dict(pad=5),
    ),
)
