"""Show, Attend and Tell (Xu et al., 2015), section 4.3 and its table of BLEU and METEOR.

    keras-vision recipes run show-attend-tell-flickr8k FLICKR8K OUT
    keras-vision recipes run show-attend-tell-flickr30k FLICKR30K OUT
    keras-vision recipes run show-attend-tell-coco COCO OUT
    keras-vision recipes run show-attend-tell-small FLICKR8K_PART OUT --set start=squeezenet_v1.1.npz

A folder of the first three holds the photographs (`images`, or COCO's `train2014` and `val2014`) and the file of
splits, such as `dataset_flickr8k.json`. RMSProp for Flickr8k, Adam for the others, batches of 64 captions of one
length, a vocabulary of 10,000, VGG-19's conv5_4 without fine-tuning, selection by BLEU are the paper's; learning rates,
epochs and the numbers of units are not printed and chosen here. Not repeated here at these sizes.

The `-small` ones are for a part of Flickr8k, 900 photographs: SqueezeNet v1.1 at 227 pixels gives 14 x 14 annotation
vectors, and the encoder, too, learns in the end. On 800 training images captions are plain; see docs/captions.md.
"""

import dataclasses

from keras_vision.training.recipes.caption_settings import CaptionRecipe

FLICKR8K = CaptionRecipe(
    name="show-attend-tell-flickr8k",
    result="BLEU-1 to 4 67, 44.8, 29.9, 19.5; METEOR 18.93",
    model="ShowAttendTell",
    model_settings=dict(row="soft"),
    data="Flickr8k",
    listing="flickr8k",
    epochs=50,
    batch_size=64,
    optimizer="rmsprop",
    momentum=0.0,
    learning_rate=4e-4,
    clip=10.0,
    patience=10,
)
FLICKR30K = dataclasses.replace(
    FLICKR8K,
    name="show-attend-tell-flickr30k",
    result="BLEU-1 to 4 66.7, 43.4, 28.8, 19.1; METEOR 18.49",
    data="Flickr30k",
    listing="flickr30k",
    optimizer="adam",
)
COCO = dataclasses.replace(
    FLICKR30K,
    name="show-attend-tell-coco",
    result="BLEU-1 to 4 70.7, 49.2, 34.4, 24.3; METEOR 23.90",
    data="COCO",
    listing="coco",
)
SMALL = dataclasses.replace(
    FLICKR30K,
    name="show-attend-tell-small",
    result="BLEU-1 of 0.40 or more",
    model_settings=dict(row="soft", units=160, embedding=96, keys=96),
    data="900 photographs of Flickr8k",
    listing="folder",
    encoder="SqueezeNetV1_1",
    tap="fire9",
    size=227,
    vocabulary=1000,
    least=4,
    longest=25,
    epochs=20,
    learning_rate=2e-3,
    schedule="cosine",
    penalty=0.2,
    patience=20,
    tuned_epochs=4,
)

RECIPES = (
    FLICKR8K,
    dataclasses.replace(
        FLICKR8K,
        name="show-attend-tell-flickr8k-hard",
        result="BLEU-1 to 4 67, 45.7, 31.4, 21.3; METEOR 20.30",
        model_settings=dict(row="hard"),
    ),
    FLICKR30K,
    dataclasses.replace(
        FLICKR30K,
        name="show-attend-tell-flickr30k-hard",
        result="BLEU-1 to 4 66.9, 43.9, 29.6, 19.9; METEOR 18.46",
        model_settings=dict(row="hard"),
    ),
    COCO,
    dataclasses.replace(
        COCO,
        name="show-attend-tell-coco-hard",
        result="BLEU-1 to 4 71.8, 50.4, 35.7, 25.0; METEOR 23.04",
        model_settings=dict(row="hard"),
    ),
    SMALL,
    dataclasses.replace(
        SMALL,
        name="show-attend-tell-small-mean",
        result="BLEU-1 0.50, BLEU-4 0.10 after 12 epochs",
        model_settings={**SMALL.model_settings, "row": "mean"},
        tuned_epochs=0,
    ),
)
