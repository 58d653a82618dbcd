"""SE-ResNet-50 on ImageNet (Hu et al., 2017), as released.

    keras-vision recipes run se-resnet-50 IMAGENET OUT

SGD with momentum 0.9, batches of 1024, a rate of 0.6 that is divided by 10 every 30 epochs, 100 epochs, crops of 8 to
100 % of the area. The authors' released network has 22.37 % top-1 and 6.36 % top-5 error on one crop. Hours and
machine are not published. Not repeated here.

Deviations: the released network was trained anew with batches of 256 at 0.1 (`--set batch=256 --set lr=0.1`). Weight
decay is ResNet's 1e-4, which was not at hand to check. Colours are distorted as in Inception's training, in place of
the authors' shifts by up to 20 and rotations by up to 10 degrees.
"""

from keras_vision.training.recipes.settings import Recipe

RECIPES = (
    Recipe(
        name="se-resnet-50",
        result="22.37 % top-1, 6.36 % top-5 error (released network)",
        model="SEResNet50",
        data="ImageNet",
        epochs=100,
        batch_size=1024,
        learning_rate=0.6,
        schedule="step",
        decay_epochs=(30, 60, 90),
        weight_decay=1e-4,
        augment="inception",
    ),
)
