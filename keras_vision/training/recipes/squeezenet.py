"""SqueezeNet v1.0 (Iandola et al., 2016), section 3.3 and Table 2.

    keras-vision recipes run squeezenet IMAGENET OUT

SGD at a rate of 0.04 that falls linearly to 0: 57.5 % top-1 and 80.3 % top-5 accuracy. Hours and machine are not
published. Not repeated here.

The paper leaves the rest to the authors' solver file for Caffe, which was not at hand to check: batches of 512 in 16
parts of 32, 170,000 updates, which are 68 epochs, momentum 0.9, an L2 penalty of 2e-4, random crops and mirror
images.

Deviations: Caffe's data were squashed to 256 x 256 pixels, here the crop is from the middle square of 256.
"""

from keras_vision.training.recipes.settings import Recipe

RECIPES = (
    Recipe(
        name="squeezenet",
        result="42.5 % top-1, 19.7 % top-5 error (Table 2)",
        model="SqueezeNet",
        data="ImageNet",
        size=227,
        epochs=68,
        batch_size=512,
        accumulation=16,
        learning_rate=0.04,
        schedule="poly",
        weight_decay=2e-4,
        augment="alexnet",
        augment_settings=dict(pca=0),
    ),
)
