"""ResNet-50 on ImageNet (He et al., 2015), section 3.4 and Table 3.

    keras-vision recipes run resnet-50 IMAGENET OUT

SGD with batches of 256, momentum 0.9, weight decay 1e-4, a rate of 0.1 that is divided by 10 when the error plateaus,
up to 600,000 updates, which are 120 epochs; the shorter side is anything from 256 to 480, a crop of 224, PCA colours.
22.85 % top-1 and 6.71 % top-5 error on ten crops (the second from memory). Hours and machine are not published. Not
repeated here.

Deviations: the paper does not say what a plateau is: five epochs without a better accuracy. Convolutions start from
He's initialisation, uniform at the same variance.
"""

from keras_vision.training.recipes.settings import Recipe

RECIPES = (
    Recipe(
        name="resnet-50",
        result="22.85 % top-1, 6.71 % top-5 error, ten crops (Table 3)",
        model="ResNet50",
        model_settings=dict(layout="caffe"),
        data="ImageNet",
        protocol="ten",
        epochs=120,
        batch_size=256,
        learning_rate=0.1,
        schedule="plateau",
        patience=5,
        drops=3,
        weight_decay=1e-4,
        augment="vgg",
        augment_settings=dict(scales=(256, 480)),
    ),
)
