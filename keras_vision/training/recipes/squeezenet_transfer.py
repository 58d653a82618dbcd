"""SqueezeNet v1.1, trained on ImageNet, goes on to the ten classes of CIFAR-10; no paper's result.

    keras-vision recipes run squeezenet-transfer CIFAR10 OUT --set start=squeezenet_v1.1.npz

All layers are trained, the new classifier conv10 three times as fast, with Adam at a rate that falls linearly to 0.
The photographs of 32 x 32 pixels are shown at 64 x 64.

Measured with `benchmarks/transfer.py`, with the public weights of v1.1, on 200 training images of each class from the
JPEG copy of CIFAR-10, 1,000 test images and four epochs: 59.9 and 62.7 % accuracy with two seeds. From random
weights, for as many epochs: 23.1 and 17.4 % at the same rate for all layers, 15.3 and 10.0 % at 1e-3. A run took
about one and a half minutes on two cores of an AMD EPYC (Zen 4) that others used, too. The whole data set was not
tried.
"""

from keras_vision.training.recipes.settings import Recipe

RECIPES = (
    Recipe(
        name="squeezenet-transfer",
        result="61.3 % accuracy from 2,000 images in four epochs; 20.2 % from scratch",
        model="SqueezeNetV1_1",
        start="torchvision",
        data="CIFAR-10",
        size=64,
        resize_shorter=64,
        epochs=4,
        batch_size=32,
        optimizer="adam",
        learning_rate=3e-4,
        rates=dict(conv10=3.0),
        schedule="poly",
        augment="inception",
        augment_settings=dict(area=(0.6, 1.0), distortion=0.0),
    ),
)
