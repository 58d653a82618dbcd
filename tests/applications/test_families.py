"""What holds for every registered model; a new model is tested by being registered (and fails without its counts)."""

import functools
import json
import os
import re
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest

import keras_vision as kv
from keras_vision import graph
from keras_vision.model import VisionModel

MODELS = kv.list_models(task="classification")

COUNTS = {  # published: all and trainable parameters, with the default classes and without the classifier
    "AllCNNA": (1_254_250, 1_254_250, 1_252_320, 1_252_320),
    "AllCNNB": (1_300_618, 1_300_618, 1_298_688, 1_298_688),
    "AllCNNC": (1_369_738, 1_369_738, 1_367_808, 1_367_808),
    "BaseCNNA": (839_242, 839_242, 837_312, 837_312),
    "BaseCNNB": (885_610, 885_610, 883_680, 883_680),
    "BaseCNNC": (954_730, 954_730, 952_800, 952_800),
    "ConvPoolCNNA": (1_254_250, 1_254_250, 1_252_320, 1_252_320),
    "ConvPoolCNNB": (1_300_618, 1_300_618, 1_298_688, 1_298_688),
    "ConvPoolCNNC": (1_369_738, 1_369_738, 1_367_808, 1_367_808),
    "StridedCNNA": (839_242, 839_242, 837_312, 837_312),
    "StridedCNNB": (885_610, 885_610, 883_680, 883_680),
    "StridedCNNC": (954_730, 954_730, 952_800, 952_800),
    "AlexNet": (62_378_344, 62_378_344, 3_747_200, 3_747_200),
    "BAlexNet": (605_886, 605_886, 247_488, 247_488),
    "BLeNet": (74_694, 74_694, 6_410, 6_410),
    "BNInception": (11_305_256, 11_285_224, 10_280_256, 10_260_224),
    "BNInceptionSeparable": (11_298_560, 11_278_528, 10_273_560, 10_253_528),
    "BResNet110": (2_235_390, 2_227_230, 1_739_456, 1_731_360),
    "CaffeNet": (60_965_224, 60_965_224, 2_334_080, 2_334_080),
    "GoogLeNet": (6_998_552, 6_998_552, 5_973_552, 5_973_552),
    "GoogLeNetBN": (6_639_464, 6_624_904, 5_614_464, 5_599_904),
    "DenseNet121": (8_062_504, 7_978_856, 7_037_504, 6_953_856),
    "DenseNet161": (28_900_936, 28_681_000, 26_691_936, 26_472_000),
    "DenseNet169": (14_307_880, 14_149_480, 12_642_880, 12_484_480),
    "DenseNet201": (20_242_984, 20_013_928, 18_321_984, 18_092_928),
    "DenseNet40K12": (1_037_818, 1_019_722, 1_033_328, 1_015_232),
    "DenseNet100K12": (7_096_858, 6_979_642, 7_085_168, 6_967_952),
    "DenseNet100K24": (27_480_346, 27_249_082, 27_457_136, 27_225_872),
    "DenseNetB100K12": (1_216_282, 1_180_666, 1_210_352, 1_174_736),
    "DenseNetC100K12": (4_084_914, 4_013_370, 4_078_144, 4_006_600),
    "DenseNetBC100K12": (793_150, 769_162, 789_720, 765_732),
    "DenseNetBC100K24": (3_068_482, 3_020_506, 3_061_632, 3_013_656),
    "InceptionV3": (23_851_784, 23_817_352, 21_802_784, 21_768_352),
    "InceptionV3_151": (23_851_784, 23_817_352, 21_802_784, 21_768_352),
    "InceptionV3_79": (23_851_784, 23_817_352, 21_802_784, 21_768_352),
    "ResidualAttention56": (31_883_432, 31_810_728, 29_834_432, 29_761_728),
    "ResidualAttention92": (52_599_976, 52_466_344, 50_550_976, 50_417_344),
    "ResidualAttention56CIFAR": (1_161_530, 1_147_386, 1_158_960, 1_144_816),
    "ResidualAttention92CIFAR": (1_915_834, 1_891_258, 1_913_264, 1_888_688),
    "ResidualAttention236CIFAR": (4_933_050, 4_866_746, 4_930_480, 4_864_176),
    "ResidualAttention452CIFAR": (9_458_874, 9_329_978, 9_456_304, 9_327_408),
    "SEInception": (11_951_654, 11_931_622, 10_926_654, 10_906_622),
    "SENet154": (115_336_536, 115_088_984, 113_287_536, 113_039_984),
    "SEResNeXt101": (49_093_272, 48_955_416, 47_044_272, 46_906_416),
    "SEResNeXt50": (27_628_120, 27_559_896, 25_579_120, 25_510_896),
    "SEResNet101": (49_432_216, 49_326_872, 47_383_216, 47_277_872),
    "SEResNet152": (66_973_272, 66_821_848, 64_924_272, 64_772_848),
    "SEResNet50": (28_141_144, 28_088_024, 26_092_144, 26_039_024),
    "ShakeDropPyramidNet110CIFAR": (28_535_275, 28_485_477, 28_532_405, 28_482_607),
    "ShakeShake26_32CIFAR": (2_930_810, 2_923_162, 2_929_520, 2_921_872),
    "ShakeShake26_64CIFAR": (11_669_242, 11_653_978, 11_666_672, 11_651_408),
    "ShakeShake26_96CIFAR": (26_215_802, 26_192_922, 26_211_952, 26_189_072),
    "PReLUNetA": (178_032_072, 178_032_072, 25_020_896, 25_020_896),
    "PReLUNetB": (183_343_048, 183_343_048, 30_331_872, 30_331_872),
    "PReLUNetC": (330_623_944, 330_623_944, 78_522_336, 78_522_336),
    "PReLUStudyNet14": (75_004_200, 75_004_200, 1_684_800, 1_684_800),
    "PlainNet18": (11_523_496, 11_515_688, 11_010_496, 11_002_688),
    "PlainNet34": (21_639_080, 21_623_848, 21_126_080, 21_110_848),
    "PlainNet20CIFAR": (271_098, 269_722, 270_448, 269_072),
    "PlainNet32CIFAR": (466_426, 464_154, 465_776, 463_504),
    "PlainNet44CIFAR": (661_754, 658_586, 661_104, 657_936),
    "PlainNet56CIFAR": (857_082, 853_018, 856_432, 852_368),
    "ResNet18": (11_699_112, 11_689_512, 11_186_112, 11_176_512),
    "ResNet34": (21_814_696, 21_797_672, 21_301_696, 21_284_672),
    "ResNet50": (25_636_712, 25_583_592, 23_587_712, 23_534_592),
    "ResNet101": (44_707_176, 44_601_832, 42_658_176, 42_552_832),
    "ResNet152": (60_419_944, 60_268_520, 58_370_944, 58_219_520),
    "ResNet20CIFAR": (271_098, 269_722, 270_448, 269_072),
    "ResNet32CIFAR": (466_426, 464_154, 465_776, 463_504),
    "ResNet44CIFAR": (661_754, 658_586, 661_104, 657_936),
    "ResNet56CIFAR": (857_082, 853_018, 856_432, 852_368),
    "ResNet110CIFAR": (1_736_058, 1_727_962, 1_735_408, 1_727_312),
    "ResNet1202CIFAR": (19_510_906, 19_421_274, 19_510_256, 19_420_624),
    "SPPNetConvnet5": (77_058_408, 77_058_408, 3_747_200, 3_747_200),
    "SPPNetOverfeat5": (132_268_648, 132_268_648, 6_528_640, 6_528_640),
    "SPPNetOverfeat7": (136_988_264, 136_988_264, 11_248_256, 11_248_256),
    "SPPNetZF5": (77_037_672, 77_037_672, 3_726_464, 3_726_464),
    "StochasticDepthResNet110": (1_736_058, 1_727_962, 1_735_408, 1_727_312),
    "StochasticDepthResNet1202": (19_510_906, 19_421_274, 19_510_256, 19_420_624),
    "SqueezeNet": (1_248_424, 1_248_424, 735_424, 735_424),
    "SqueezeNetComplexBypass": (1_589_672, 1_589_672, 1_076_672, 1_076_672),
    "SqueezeNetSimpleBypass": (1_248_424, 1_248_424, 735_424, 735_424),
    "SqueezeNetV1_1": (1_235_496, 1_235_496, 722_496, 722_496),
    "TinyImageNet5": (9_520_968, 9_520_968, 1_029_248, 1_029_248),
    "TinyImageNet5Kernel3": (8_862_536, 8_862_536, 370_816, 370_816),
    "TinyImageNet6": (9_452_616, 9_452_616, 960_896, 960_896),
    "TinyImageNet7": (9_600_200, 9_600_200, 1_108_480, 1_108_480),
    "TinyImageNet8": (9_637_128, 9_637_128, 1_145_408, 1_145_408),
    "TinyImageNet8PReLU": (9_638_536, 9_638_536, 1_146_304, 1_146_304),
    "TinyImageNet8PReLUDropout": (9_638_536, 9_638_536, 1_146_304, 1_146_304),
    "VGG11": (132_863_336, 132_863_336, 9_220_480, 9_220_480),
    "VGG11LRN": (132_863_336, 132_863_336, 9_220_480, 9_220_480),
    "VGG13": (133_047_848, 133_047_848, 9_404_992, 9_404_992),
    "VGG16C": (133_638_952, 133_638_952, 9_996_096, 9_996_096),
    "VGG16": (138_357_544, 138_357_544, 14_714_688, 14_714_688),
    "VGG19": (143_667_240, 143_667_240, 20_024_384, 20_024_384),
    "VGG11BN": (132_874_344, 132_868_840, 9_231_488, 9_225_984),
    "VGG13BN": (133_059_624, 133_053_736, 9_416_768, 9_410_880),
    "VGG16BN": (138_374_440, 138_365_992, 14_731_584, 14_723_136),
    "VGG19BN": (143_689_256, 143_678_248, 20_046_400, 20_035_392),
    "Xception": (22_910_480, 22_855_952, 20_861_480, 20_806_952),
}
SR_COUNTS = {0.125: 1_248_424, 0.25: 1_967_080, 0.5: 3_404_392, 0.75: 4_841_704, 1.0: 6_279_016}
PCT_COUNTS = {0.01: 1_473_128, 0.25: 2_421_352, 0.5: 3_404_392, 0.75: 4_387_432, 0.99: 5_325_416}  # at sr=0.5
SPP_COUNTS = {None: 62_357_608, (6, 3, 2, 1): 77_037_672, (4, 3, 2, 1): 56_066_152}
SETTINGS = [  # trainable parameters of settings other than a row's
    ("AllCNNC", dict(classes=100), 1_387_108),
    ("AlexNet", dict(groups=2), 60_965_224),
    ("BNInception", dict(use_bias=True), 11_295_240),
    ("BNInception", dict(gamma=False), 11_275_208),
    ("GoogLeNet", dict(auxiliary="strided"), 13_378_280),
    ("GoogLeNetBN", dict(auxiliary="adaptive"), 13_004_888),
    pytest.param("DenseNetBC100K12", dict(depth=250, growth=24), 15_324_406, marks=pytest.mark.slow),
    pytest.param("DenseNetBC100K12", dict(depth=190, growth=40), 25_624_430, marks=pytest.mark.slow),
    ("ResNet50", dict(layout="torch"), 25_557_032),
    ("ResNet101", dict(layout="torch"), 44_549_160),
    ("ResNet152", dict(layout="torch"), 60_192_808),
    *[("SPPNetZF5", dict(pyramid=pyramid), count) for pyramid, count in SPP_COUNTS.items()],
    ("SPPNetConvnet5", dict(pyramid=None), 62_378_344),
    ("SPPNetConvnet5", dict(pyramid=(4, 3, 2, 1)), 56_086_888),
    ("SPPNetOverfeat5", dict(pyramid=None), 102_908_520),
    ("SPPNetOverfeat5", dict(pyramid=(4, 3, 2, 1)), 90_325_608),
    ("SPPNetOverfeat7", dict(pyramid=None), 107_628_136),
    ("SPPNetOverfeat7", dict(pyramid=(4, 3, 2, 1)), 95_045_224),
    ("ResNet110CIFAR", dict(classes=100), 1_733_812),
    ("ShakeDropPyramidNet110CIFAR", dict(alpha=48), 1_739_730),
    ("ShakeDropPyramidNet110CIFAR", dict(alpha=84), 3_855_054),
    ("InceptionV3", dict(gamma=True), 23_834_568),
    ("InceptionV3", dict(gamma=True, auxiliary="batch_norm"), 23_834_568 + 3_326_696),
    *[("SqueezeNet", dict(sr=sr), count) for sr, count in SR_COUNTS.items()],
    *[("SqueezeNet", dict(sr=0.5, pct_3x3=pct), count) for pct, count in PCT_COUNTS.items()],
]
EXITS = {"BLeNet": 2, "BAlexNet": 3, "BResNet110": 3}  # classifiers; test_branchynet.py has more of these networks
CIFAR = [n for n in MODELS if re.search(r"CIFAR$|\dK\d+$|CNN[ABC]$|^StochasticDepth", n) or n in EXITS]
INPUTS = dict.fromkeys(CIFAR, 32) | {
    "BLeNet": 28,
    "AlexNet": 227,
    "CaffeNet": 227,
    "InceptionV3": 299,
    "InceptionV3_151": 151,
    "InceptionV3_79": 79,
    "Xception": 299,
}
INPUTS |= {name: 64 for name in MODELS if name.startswith("TinyImageNet")}
INPUTS |= {name: 227 if name.startswith("SqueezeNet") else 224 for name in MODELS if name not in INPUTS}
FEATURES = {"AlexNet": 256, "CaffeNet": 256, "GoogLeNet": 1024, "InceptionV3": 2048, "SqueezeNet": 512, "VGG": 512}
FEATURES |= {"BNInception": 1024, "SEInception": 1024}
FEATURES |= {"SE": 2048, "Xception": 2048, "PlainNet": 512, "ResNet18": 512, "ResNet34": 512}
FEATURES |= {"DenseNet121": 1024, "DenseNet161": 2208, "DenseNet169": 1664, "DenseNet201": 1920}
FEATURES |= {"DenseNet40K12": 448, "DenseNet100K12": 1168, "DenseNet100K24": 2320, "DenseNetB100K12": 592}
FEATURES |= {"DenseNetC100K12": 676, "DenseNetBC100K12": 342, "DenseNetBC100K24": 684}
FEATURES |= {"ShakeShake26_32CIFAR": 128, "ShakeShake26_64CIFAR": 256, "ShakeShake26_96CIFAR": 384}
FEATURES |= {"ShakeDropPyramidNet110CIFAR": 286, "BLeNet": 20, "BAlexNet": 64, "BResNet110": 64}
FEATURES |= dict.fromkeys(("AllCNN", "BaseCNN", "ConvPoolCNN", "StridedCNN"), 192)
FEATURES |= {"PReLUNetC": 896, "PReLUNet": 512, "PReLUStudyNet14": 256}
FEATURES |= {"StochasticDepth": 64, "TinyImageNet": 256, "SPPNetOverfeat": 512, "SPPNet": 256}
FEATURES |= {name: 256 for name in CIFAR if name.startswith("ResidualAttention")} | {"ResidualAttention": 2048}
FEATURES = {name: 64 for name in CIFAR if name.endswith("CIFAR")} | FEATURES | {"ResNet": 2048}
SMALLEST = (
    *("BNInception", "CaffeNet", "GoogLeNet", "InceptionV3_79", "SqueezeNetV1_1", "SqueezeNetComplexBypass"),
    *("VGG11", "VGG11LRN", "VGG11BN", "Xception", "ResNet18", "ResNet20CIFAR", "DenseNet40K12"),
    *("SEResNet50", "ShakeShake26_32CIFAR", "BaseCNNA", "PReLUStudyNet14"),
    *("StochasticDepthResNet110", "ResidualAttention56CIFAR", "SPPNetZF5", "TinyImageNet5", *EXITS),
)
SHORTER = {  # of which every block survives: a dropped one learns nothing
    "PReLUStudyNet14": dict(pyramid=(2, 1)),
    "StochasticDepthResNet110": dict(n=1, survival=1.0),
    "BResNet110": dict(n=1),
    "SPPNetZF5": dict(pyramid=(2, 1)),
}
EACH = [n if n in SMALLEST else pytest.param(n, marks=pytest.mark.slow) for n in MODELS]


def build(name: str, **arguments) -> VisionModel:
    """A model with random weights and, where its classifier is huge, a smaller one."""
    return kv.create_model(name, weights=None, **SHORTER.get(name, {}), **arguments)


@functools.cache
def small_shape(name: str) -> tuple[int, int, int]:
    """Of an input that leaves two cells of the last feature map."""
    size = graph.minimum_size(build(name, include_top=False))[0] + 32
    return size, size, 1 if name == "BLeNet" else 3


def features(name: str) -> int:
    return next(width for family, width in FEATURES.items() if name.startswith(family))


def images(shape: tuple[int, int, int], n: int = 2) -> np.ndarray:
    return np.random.default_rng(1).normal(0, 1, (n, *shape)).astype("float32")


def scores(model: VisionModel, x: np.ndarray) -> list[np.ndarray]:
    """Of each classifier of a model, the only one of most."""
    return [np.asarray(given) for given in keras.tree.flatten(model(x))]


@pytest.mark.parametrize("name", MODELS)
def test_counts_and_default_shapes_are_the_published_ones(name, undrawn):
    assert name in COUNTS, "a new model needs its published counts here"
    size, classes = INPUTS[name], 10 if name in CIFAR else 200 if name.startswith("TinyImageNet") else 1000
    top, open_size = (kv.create_model(name, include_top=with_top, weights=None) for with_top in (True, False))
    assert sum([(m.card.parameters, m.card.trainable_parameters) for m in (top, open_size)], ()) == COUNTS[name]
    outputs, channels = [(None, classes)] * EXITS.get(name, 1), 1 if name == "BLeNet" else 3
    assert (top.input_shape, [tuple(x.shape) for x in top.outputs]) == ((None, size, size, channels), outputs)
    assert top.name == name.lower()
    assert open_size.input_shape == (None, None, None, channels)
    assert open_size.output_shape == (None, None, None, features(name))


@pytest.mark.parametrize(("name", "settings", "count"), SETTINGS)
def test_parameter_counts_of_settings(name, settings, count, undrawn):
    assert kv.create_model(name, weights=None, **settings).card.trainable_parameters == count


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_pooling_reduces_the_last_map(name, pooling, randomize):
    shape = small_shape(name)
    maps = randomize(build(name, include_top=False))
    pooled = build(name, include_top=False, pooling=pooling, input_shape=shape)
    pooled.set_weights(maps.get_weights())
    reduce = np.mean if pooling == "avg" else np.max
    expected = reduce(np.asarray(maps(images(shape))), axis=(1, 2))
    assert pooled.output_shape == (None, features(name))
    np.testing.assert_allclose(pooled(images(shape)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", EACH)
def test_no_activation_gives_the_logits(name, randomize):
    arguments = dict(classes=10, input_shape=small_shape(name))
    probabilities = randomize(build(name, **arguments))
    logits = build(name, classifier_activation=None, **arguments)
    logits.set_weights(probabilities.get_weights())
    x = images(small_shape(name))
    assert (probabilities.card.output, logits.card.output) == ("probability", "logit")
    for found, expected in zip(scores(probabilities, x), scores(logits, x), strict=True):
        np.testing.assert_allclose(found, keras.ops.softmax(expected), atol=1e-6)


def assert_one_step_trains_everything(model, labels):
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy", run_eagerly=True, jit_compile=False)
    before = [v.numpy() for v in model.trainable_variables]
    model.train_on_batch(images(model.input_shape[1:]), labels)
    after = [v.numpy() for v in model.trainable_variables]
    assert all(np.isfinite(a).all() for a in after)
    paths = [v.path for v in model.trainable_variables]
    assert not [path for path, b, a in zip(paths, before, after, strict=True) if np.array_equal(b, a)]


@pytest.mark.parametrize("name", EACH)
def test_one_training_step_changes_every_weight(name, randomize):
    model = build(name, classes=10, input_shape=small_shape(name))
    labels = [np.array([3, 7])] * len(model.outputs)
    assert_one_step_trains_everything(randomize(model), labels if name in EXITS else labels[0])


@pytest.mark.parametrize(("name", "kind", "size"), [
    ("InceptionV3_79", "batch_norm", 79),
    ("InceptionV3_79", "dropout", 79),
    ("GoogLeNet", "strided", 96),
    ("GoogLeNetBN", "adaptive", 64),
])  # fmt: skip
def test_one_training_step_trains_the_auxiliary_heads(name, kind, size, randomize):
    model = kv.create_model(name, weights=None, classes=10, auxiliary=kind, input_shape=(size, size, 3))
    assert [tuple(shape) for shape in model.output_shape] == [(None, 10)] * (2 if name == "InceptionV3_79" else 3)
    keras.utils.set_random_seed(0)
    assert_one_step_trains_everything(randomize(model), [np.array([3, 7])] * len(model.outputs))


@pytest.mark.parametrize("name", ["GoogLeNet", "InceptionV3"])
def test_auxiliary_head_without_the_top_is_an_error(name):
    for off in (dict(include_top=False), dict(features_only=True)):
        with pytest.raises(kv.KerasVisionError, match="needs include_top=True"):
            kv.create_model(name, weights=None, auxiliary="dropout", **off)


@pytest.mark.parametrize("name", EACH)
def test_keras_file_keeps_outputs_card_and_labels(name, randomize, tmp_path):
    model = randomize(build(name, classes=4, input_shape=small_shape(name)))
    model.labels = ["cat", "dog", "café", "4"]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is VisionModel
    assert (loaded.card, loaded.labels) == (model.card, model.labels)
    x = images(small_shape(name))
    for found, expected in zip(scores(loaded, x), scores(model, x), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "name",
    [
        "SqueezeNetV1_1",
        "InceptionV3_79",
        "VGG11LRN",
        "VGG11BN",
        "CaffeNet",
        "GoogLeNet",
        "ResNet18",
        "BaseCNNA",
        "PReLUStudyNet14",
        "StochasticDepthResNet110",
        "ResidualAttention56CIFAR",
        "SPPNetZF5",
        "TinyImageNet5",
        *EXITS,
    ],
)
def test_mixed_float16_gives_float32_probabilities(name):
    shape = small_shape(name)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build(name, classes=10, input_shape=shape)
    finally:
        keras.config.set_dtype_policy("float32")
    assert next(layer for layer in model.layers if layer.weights).compute_dtype == "float16"
    given = scores(model, images(shape))
    assert len(given) == EXITS.get(name, 1)
    for probabilities in given:
        assert probabilities.dtype == np.float32
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


JAX = """
    import json, sys, numpy as np, keras, keras_vision as kv
    assert keras.backend.backend() == "jax"
    for kind in ("RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling"):  # each shape's is compiled
        getattr(keras.initializers, kind).__call__ = lambda self, shape, dtype=None, **_: np.zeros(shape, "float32")
    folder, shorter, names = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3:]
    outputs = {}
    for name in names:
        x = np.load(f"{folder}/{name}.npy")
        settings = dict(classes=10, classifier_activation=None, input_shape=x.shape[1:], **shorter.get(name, {}))
        model = kv.create_model(name, weights=None, **settings)
        model.load_weights(f"{folder}/{name}.weights.h5")
        given = keras.tree.flatten(model(x, training=False))
        outputs |= {f"{name} {number}": np.asarray(own) for number, own in enumerate(given)}
    np.savez(f"{folder}/jax.npz", **outputs)
"""


def test_jax_gives_the_same_logits(tmp_path, randomize):
    """Of every small model in one process: most of its time goes into the start and into shared compilations."""
    tensorflow, rounding = {}, {}
    for name in SMALLEST:
        x = images(small_shape(name))
        model = randomize(build(name, classes=10, classifier_activation=None, input_shape=x.shape[1:]))
        model.save_weights(tmp_path / f"{name}.weights.h5")
        np.save(tmp_path / f"{name}.npy", x)
        shaken = scores(model, x * np.float32(1 + 1e-6))  # rounding alone: 1e-4 of the range in SEResNet50
        for number, (given, other) in enumerate(zip(scores(model, x), shaken, strict=True)):
            tensorflow[f"{name} {number}"], rounding[f"{name} {number}"] = given, np.abs(other - given).max()
    unoptimised = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # compiling takes most of the time
    environment = {**os.environ, **unoptimised, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", textwrap.dedent(JAX), str(tmp_path), json.dumps(SHORTER), *SMALLEST]
    subprocess.run(command, check=True, env=environment)
    jax = np.load(tmp_path / "jax.npz")
    assert set(jax) == set(tensorflow)
    assert min(map(np.ptp, tensorflow.values())) > 0.1
    differences = {name: np.abs(jax[name] - expected).max() for name, expected in tensorflow.items()}
    allowed = {name: 1e-4 * np.ptp(expected) + 2 * rounding[name] for name, expected in tensorflow.items()}
    assert {name: found for name, found in differences.items() if found > allowed[name]} == {}
