"""Inception-v3 (Szegedy et al., 2015), section 8 and the last line of Table 3.

    keras-vision recipes run inception-v3 IMAGENET OUT

ImageNet with RMSProp (decay 0.9, epsilon 1.0), a rate of 0.045 that is multiplied with 0.94 every two epochs,
gradients clipped to a norm of 2.0, smoothed labels, a side classifier with batch norm, and evaluation with a running
average of the parameters: 21.2 % top-1 and 5.6 % top-5 error on one crop. The paper's machine: 50 replicas, each with
an NVIDIA Kepler GPU; hours are not published. Not repeated here.

Deviations: the paper's replicas update one after the other, without waiting, with batches of 32; here one update
takes a batch of 32, which all replicas share. What the paper leaves open is that of the authors' later training code,
which was not at hand to check: weight decay 4e-5 of the kernels, a weight of 0.4 for the side classifier, a running
average with a decay of 0.9999 that begins lower. That code also has RMSProp's momentum of 0.9
(`--set momentum=0.9`), which the paper does not name.
"""

from keras_vision.training.recipes.settings import Recipe

RECIPES = (
    Recipe(
        name="inception-v3",
        result="21.2 % top-1, 5.6 % top-5 error (Table 3)",
        model="InceptionV3",
        model_settings=dict(auxiliary="batch_norm"),
        auxiliary_weight=0.4,
        data="ImageNet",
        size=299,
        epochs=100,
        batch_size=32,
        optimizer="rmsprop",
        momentum=0.0,
        epsilon=1.0,
        learning_rate=0.045,
        schedule="exponential",
        decay_every=2,
        decay_rate=0.94,
        clip=2.0,
        weight_decay=4e-5,
        decay_all=False,
        label_smoothing=0.1,
        average=0.9999,
        augment="inception",
    ),
)
