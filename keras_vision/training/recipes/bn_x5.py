"""BN-x5 (Ioffe & Szegedy, 2015), sections 4.2.1 and 4.2.2, Figure 3.

    keras-vision recipes run bn-x5 IMAGENET OUT

Batch-normalised Inception at five times the learning rate of Inception, 0.0075, which falls six times faster; no
dropout, a fifth of the L2 penalty, fewer photometric distortions. After 2.1 million steps of 32 images, which are 53
epochs, it has 72.2 % top-1 accuracy, for which Inception takes 31 million; its highest is 73.0 %. Machine: ten
replicas with five concurrent steps each; hours and devices are not published. Not repeated here.

Deviations: one update after the other in place of asynchronous ones. "Six times faster" is 4 % less every 8 / 6
epochs, as GoogLeNet's rate falls by 4 % every 8. The paper does not say what Inception's L2 penalty is: a fifth of
2e-4, that of the public Caffe version of GoogLeNet (from memory). Nor how far the distortions are reduced: to half.
The network has no side classifiers.
"""

from keras_vision.training.recipes.settings import Recipe

RECIPES = (
    Recipe(
        name="bn-x5",
        result="27.8 % top-1 error after 2.1 million steps (Figure 3)",
        model="BNInception",
        data="ImageNet",
        epochs=53,
        batch_size=32,
        learning_rate=0.0075,
        schedule="exponential",
        decay_every=8 / 6,
        decay_rate=0.96,
        weight_decay=2e-4 / 5,
        augment="inception",
        augment_settings=dict(distortion=0.5),
    ),
)
