"""Stochastic depth on CIFAR-10 (Huang et al., 2016), section 4: ResNet-110 and ResNet-1202.

    keras-vision recipes run stochastic-depth-110-cifar CIFAR10 OUT
    keras-vision recipes run stochastic-depth-1202-cifar CIFAR10 OUT
    keras-vision recipes run stochastic-depth-110-cifar CIFAR10 OUT --set 'model_settings={"decay": "uniform"}'
    keras-vision recipes run stochastic-depth-110-cifar CIFAR10 OUT --set 'model_settings={"survival": 1.0}'

SGD with Nesterov's momentum 0.9, batches of 128, weight decay 1e-4, 500 epochs at a rate of 0.1 that is divided by 10
after half and after three quarters of them; padding by 4 pixels, random crop, mirror image; the last block survives
with probability 0.5, as the authors' program has it. 5.25 % error, 6.41 % with all blocks (`survival` of 1, the last
line above). ResNet-1202 takes 300 epochs, the first ten at a rate of 0.01 (from memory): 4.91 %, 6.67 % with all
blocks. The paper saves about a quarter of the time. Not repeated here.

Deviations: the paper trains on 45,000 images and takes the epoch that is best on the other 5,000, here all are trained
on and the last epoch counts. A last batch of 80 images is left out of each epoch.
"""

import dataclasses

from keras_vision.training.recipes.settings import Recipe

RESNET110 = Recipe(
    name="stochastic-depth-110-cifar",
    result="5.25 % error; 6.41 % with constant depth (Table 1)",
    model="StochasticDepthResNet110",
    data="CIFAR-10",
    size=32,
    epochs=500,
    batch_size=128,
    learning_rate=0.1,
    nesterov=True,
    schedule="step",
    decay_epochs=(250, 375),
    weight_decay=1e-4,
    augment="cifar",
)

RECIPES = (
    RESNET110,
    dataclasses.replace(
        RESNET110,
        name="stochastic-depth-1202-cifar",
        result="4.91 % error; 6.67 % with constant depth (section 4)",
        model="StochasticDepthResNet1202",
        epochs=300,
        decay_epochs=(150, 225),
        warm_up_rate=0.01,
        warm_up_steps=3900,
    ),
)
