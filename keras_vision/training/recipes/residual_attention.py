"""Residual Attention Networks (Wang et al., 2017), section 4, with the experiment on wrong labels.

    keras-vision recipes run residual-attention-56 IMAGENET OUT
    keras-vision recipes run residual-attention-236-cifar CIFAR10 OUT
    keras-vision recipes run residual-attention-92-cifar-noise CIFAR10 OUT --set label_noise=0.5
    keras-vision recipes run residual-attention-92-cifar-noise CIFAR10 OUT --set model=ResNet110CIFAR
    keras-vision recipes run residual-attention-236-cifar CIFAR10 OUT --set 'model_settings={"learning": "naive"}'

CIFAR: Nesterov's momentum 0.9, batches of 64, weight decay 1e-4, a rate of 0.1 that is divided by 10 after 64,000 and
96,000 updates, 160,000 in all, which are 205 epochs; padding by 4 pixels, random crop, mirror image. Error on CIFAR-10:
4.99 % (92 layers), 4.14 % (236), 3.90 % (452, which the abstract confirms). ImageNet: a rate of 0.1 that is divided by
10 after 200,000, 400,000 and 500,000 updates, 530,000 in all; 21.76 % top-1 and 5.9 % top-5 error for Attention-56 on
one crop. The experiment on noise trains 92 layers on labels of which 10, 30, 50 and 70 % are wrong: 5.15, 5.79, 7.27
and 15.75 % error, where ResNet-164 has 5.93, 6.61, 8.35 and 17.21 %. But for the abstract's, figures are from memory.
Not repeated here.

Deviations: how large a batch of ImageNet is was not at hand: here 64, so that 530,000 updates are 26
epochs, with weight decay 1e-4. The net to compare with is ResNet-110, not -164. The rates fall after whole epochs, and
a last batch that is not full is left out.
"""

import dataclasses

from keras_vision.training.recipes.settings import Recipe

CIFAR236 = Recipe(
    name="residual-attention-236-cifar",
    result="4.14 % error (Table 6)",
    model="ResidualAttention236CIFAR",
    data="CIFAR-10",
    size=32,
    epochs=205,
    batch_size=64,
    learning_rate=0.1,
    nesterov=True,
    schedule="step",
    decay_epochs=(82, 123),
    weight_decay=1e-4,
    augment="cifar",
)

RECIPES = (
    Recipe(
        name="residual-attention-56",
        result="21.76 % top-1, 5.9 % top-5 error (Table 7)",
        model="ResidualAttention56",
        data="ImageNet",
        epochs=26,
        batch_size=64,
        learning_rate=0.1,
        nesterov=True,
        schedule="step",
        decay_epochs=(10, 20, 25),
        weight_decay=1e-4,
        augment="inception",
    ),
    CIFAR236,
    dataclasses.replace(
        CIFAR236,
        name="residual-attention-452-cifar",
        result="3.90 % error (abstract)",
        model="ResidualAttention452CIFAR",
    ),
    dataclasses.replace(
        CIFAR236,
        name="residual-attention-92-cifar-noise",
        result="5.15 % error with 10 % of the labels wrong (Table 5)",
        model="ResidualAttention92CIFAR",
        label_noise=0.1,
    ),
)
