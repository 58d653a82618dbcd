"""DenseNet-BC on CIFAR-10 (Huang et al., 2016), section 4.2 and Table 2: 100 layers, growth rate 12.

    keras-vision recipes run densenet-bc-cifar CIFAR10 OUT

SGD with Nesterov's momentum 0.9, batches of 64, weight decay 1e-4, 300 epochs at a rate of 0.1 that is divided by 10
after half and after three quarters of them; padding by 4 pixels, random crop, mirror image, no dropout: 4.51 % error.
Hours and machine are not published. Not repeated here.

Deviations: pixels are normalised with ImageNet's means and deviations, where the paper takes CIFAR's own; a last
batch of 16 images is left out of each epoch.
"""

from keras_vision.training.recipes.settings import Recipe

RECIPES = (
    Recipe(
        name="densenet-bc-cifar",
        result="4.51 % error (Table 2, C10+)",
        model="DenseNetBC100K12",
        data="CIFAR-10",
        size=32,
        epochs=300,
        batch_size=64,
        learning_rate=0.1,
        nesterov=True,
        schedule="step",
        decay_epochs=(150, 225),
        weight_decay=1e-4,
        augment="cifar",
    ),
)
