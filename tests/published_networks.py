"""What is published of each classifier: parameters, size of the input, channels of the last feature map."""

import re

import keras_vision as kv

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
