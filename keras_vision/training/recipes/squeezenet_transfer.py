"""TODO"""

from keras_vision.training.recipes.settings import Recipe

RECIPES = (
    Recipe(
        name="squeezenet-transfer",
        result="",
        model="SqueezeNetV1_1",
        start="torchvision",
        data="CIFAR-10",
        size=64,
        resize_shorter=64,
        epochs=4,
        batch_size=32,
        learning_rate=2e-3,
        rates=dict(conv10=10.0),
        schedule="poly",
        weight_decay=2e-4,
        augment="inception",
        augment_settings=dict(area=(0.6, 1.0), distortion=0.0),
    ),
)
