"""The recipes' settings: the papers' numbers, what the command line may change, and what is refused."""

import struct

import numpy as np
import pytest
from small_data import names_only

from keras_vision.data import augment
from keras_vision.errors import KerasVisionError
from keras_vision.evaluation import protocol
from keras_vision.registry import find
from keras_vision.training import RECIPES, find_recipe, plan, schedule_of, with_settings
from keras_vision.training.recipes import building
from keras_vision.training.recipes.data_sets import training_and_validation

IMAGENET, CIFAR = 1_281_167, 50_000


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return names_only(tmp_path_factory.mktemp("many"), training=4096)


# ---------------------------------------------------------------------------------------- the papers' numbers


@pytest.mark.parametrize(("name", "images", "updates"), [
    ("bn-x5", IMAGENET, 2.1e6),
    ("vgg-d", IMAGENET, 370e3),
    ("squeezenet", IMAGENET, 170e3),
    ("resnet-50", IMAGENET, 600e3),
    ("resnet-20-cifar", CIFAR, 64e3),
    ("resnet-110-cifar", CIFAR, 64e3),
    ("stochastic-depth-110-cifar", CIFAR, 195e3),
    ("residual-attention-236-cifar", CIFAR, 160e3),
    ("residual-attention-56", IMAGENET, 530e3),
])  # fmt: skip
def test_epochs_are_the_updates_that_the_papers_count(name, images, updates):
    recipe = find_recipe(name)
    epoch = images / recipe.batch_size
    assert recipe.epochs * epoch == pytest.approx(updates, rel=0.015, abs=epoch / 2)  # in whole epochs


def test_cifar_rates_fall_at_32_and_48_thousand_updates():
    recipe = find_recipe("resnet-20-cifar")
    assert [at * (CIFAR // 128) for at in recipe.decay_epochs] == pytest.approx([32e3, 48e3], rel=0.001)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_names_a_model_an_augmentation_a_schedule_and_a_protocol(name):
    recipe = find_recipe(name)
    assert find(recipe.model).name == recipe.model
    assert protocol(recipe.protocol).count >= 1
    steps = 391
    schedule = schedule_of(recipe, steps)
    last = schedule(recipe.epochs * steps - 1) if callable(schedule) else schedule
    assert 0 < float(last) <= recipe.learning_rate
    if recipe.augment != "none":
        assert getattr(augment, recipe.augment)(**recipe.augment_settings).geometry is not None


LARGE = ("vgg-d", "bn-x5", "resnet-50", "resnet-110-cifar", "densenet-bc-cifar", "se-resnet-50")
LARGE += ("prelu-net-a", "prelu-study", "stochastic-depth-110-cifar", "stochastic-depth-1202-cifar")
LARGE += ("residual-attention-56", "residual-attention-236-cifar", "residual-attention-452-cifar")
LARGE += ("residual-attention-92-cifar-noise", "spp-net-overfeat7", "spp-net-overfeat7-multi-size")
LARGE += ("spp-net-zf5-multi-size",)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in RECIPES]
)
def test_every_recipe_builds_at_its_own_settings(name, many):
    recipe = find_recipe(name)
    planned = plan(recipe, many, measure=0)
    assert planned.steps == 4096 // recipe.step_images
    assert planned.classes == 2
    assert planned.trained > 100_000
    kernels = {"inception-v3": 94 + 1 + 2 + 1, "prelu-net-a": 19, "prelu-study": 14}
    kernels |= {"tiny-imagenet-base": 5, "tiny-imagenet": 8, "tiny-imagenet-noise": 8}  # with the classifiers
    assert (name in kernels) != recipe.decay_all
    expected = kernels.get(name, planned.variables)
    assert planned.decayed == (expected if recipe.weight_decay else 0)
    assert planned.rates[0] == (1, pytest.approx(recipe.warm_up_rate or recipe.learning_rate))
    memory = planned.memory
    assert memory["weights"] == pytest.approx(4 * planned.parameters, rel=1e-3)  # and states of dropout
    assert memory["gradients"] == 4 * planned.trained
    assert memory["optimizer"] >= memory["gradients"]  # one slot at least
    assert memory["activations"] > recipe.step_images * recipe.size**2 * 3 * 4


# ----------------------------------------------------------------------------------------------- command line


def test_values_are_read_as_their_fields_type():
    pairs = ["lr=1e-2", "epochs=3", "clip=none", "decay_all=true", "start=a=b.npz", 'rates={"fc": 3}', "seed=7"]
    changed = with_settings(find_recipe("resnet-20-cifar"), [*pairs, "decay_epochs=[1, 2.5]", "batch=64"])
    assert (changed.learning_rate, changed.epochs, changed.clip, changed.decay_all) == (0.01, 3, None, True)
    assert (changed.start, changed.rates, changed.seed) == ("a=b.npz", {"fc": 3}, 7)
    assert (changed.decay_epochs, changed.batch_size) == ((1.0, 2.5), 64)


@pytest.mark.parametrize(("pair", "says"), [
    ("learning_rat=1", "no setting 'learning_rat'. Did you mean learning_rate?"),
    ("epoch=1", "Did you mean epochs?"),
    ("epochs", "no =. Did you mean epochs?"),
    ("name=mine", "no setting 'name'"),
    ("epochs=2.5", "epochs=2.5; give a whole number"),
    ("decay_all=yes", "give true or false"),
    ("decay_epochs=1", "give a JSON list"),
    ("rates=[1]", "give a JSON object"),
    ("lr=fast", "learning_rate=fast; give a number"),
    ("lr=nan", "learning_rate=nan; give a finite number above 0"),
    ("lr=inf", "learning_rate=inf"),
    ("lr=0", "learning_rate=0.0"),
    ("lr=-1", "learning_rate=-1.0"),
    ("batch=0", "batch_size=0; give a whole number from 1"),
    ("momentum=1", "momentum=1.0; give a share"),
    ("weight_decay=-1", "weight_decay=-1.0; give 0 or above"),
    ("accumulation=3", "accumulation=3 does not divide batch_size=128"),
    ("decay_epochs=[2, 1]", "give rising numbers"),
    ("warm_up_steps=3", "give a rate and its steps"),
    ("optimizer=adma", "optimizer='adma'; accepted: sgd, rmsprop, adam"),
    ("augment=mine", "augment='mine'; accepted: none, alexnet"),
    ("precision=float8", "precision='float8'; accepted: float32"),
    ('rates={"fc": 0}', "give factors above 0"),
    ("pixel_std=[64, 0, 64]", "give a finite number above 0 for each channel"),
    ("stage_model=VGG11", "stage_model and stage_layers go together"),
])  # fmt: skip
def test_wrong_settings_are_named(pair, says):
    with pytest.raises(KerasVisionError, match=says.replace("[", r"\[")):
        with_settings(find_recipe("resnet-20-cifar"), [pair])


def test_a_misspelled_recipe_is_named():
    with pytest.raises(KerasVisionError, match=r"no recipe is called 'resnet-20'. Did you mean resnet-20-cifar"):
        find_recipe("resnet-20")


def test_weights_to_start_from_are_looked_for(many):
    recipe = with_settings(find_recipe("squeezenet-transfer"), ["start=nowhere/weights.npz"])
    with pytest.raises(KerasVisionError, match=r"start='nowhere/weights\.npz': no such file"):
        plan(recipe, many, measure=0)


def test_augmentations_have_their_own_settings(many):
    recipe = with_settings(find_recipe("resnet-20-cifar"), ['augment_settings={"padding": 4}'])
    with pytest.raises(KerasVisionError, match=r"augment_settings=.*unexpected keyword"):
        plan(recipe, many, measure=0)


# -------------------------------------------------------------------------------------------------- data sets


def test_data_sets_are_told_apart(many, tmp_path):
    training, validation = training_and_validation(many)
    assert (len(training), len(validation), training.class_names) == (4096, 10, ("a", "b"))
    held_in, held_out = training_and_validation(many / "train", seed=1)
    assert (len(held_in), len(held_out)) == (3686, 410)
    assert not set(held_in.sources) & set(held_out.sources)

    record = np.zeros(3073, np.uint8)
    for number in range(1, 6):
        record.tofile(tmp_path / f"data_batch_{number}.bin")
    record.tofile(tmp_path / "test_batch.bin")
    assert [len(part) for part in training_and_validation(tmp_path)] == [5, 1]


def test_mnist_is_found(tmp_path):
    for name, count in (("train", 3), ("t10k", 2)):
        images = struct.pack(">I3I", 0x803, count, 28, 28) + bytes(784 * count)
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(images)
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, count) + bytes(count))
    assert [len(part) for part in training_and_validation(tmp_path)] == [3, 2]


def test_folders_without_a_data_set(tmp_path):
    with pytest.raises(KerasVisionError, match=r"no data set. Give train/ and val/"):
        training_and_validation(tmp_path)
    (tmp_path / "train" / "a").mkdir(parents=True)
    (tmp_path / "train" / "b").mkdir()
    with pytest.raises(KerasVisionError, match="no images"):
        training_and_validation(tmp_path)
    for name in "ab":
        (tmp_path / "train" / name / "1.png").touch()
    with pytest.raises(KerasVisionError, match="train/ without val, validation, test"):
        training_and_validation(tmp_path)
    for name in "bc":
        (tmp_path / "val" / name).mkdir(parents=True)
        (tmp_path / "val" / name / "1.png").touch()
    with pytest.raises(KerasVisionError, match=r"only in the first \['a'\], only in the other \['c'\]"):
        training_and_validation(tmp_path)


# --------------------------------------------------------------------------------------------------- replicas


def test_batches_that_do_not_fit(many):
    recipe, parts = find_recipe("squeezenet"), training_and_validation(many)
    building.check_fits(recipe, parts, 1)
    with pytest.raises(KerasVisionError, match=r"batch_size=4 in 2 parts leaves 2 images a step for 3 replicas; .* 6"):
        building.check_fits(with_settings(recipe, ["batch=4", "accumulation=2"]), parts, 3)
    with pytest.raises(KerasVisionError, match="accumulation=16 on 2 replicas, which Keras' optimizers cannot do"):
        building.check_fits(recipe, parts, 2)
    with pytest.raises(KerasVisionError, match="4096 training and 10 validation images do not fill a step of 8192"):
        building.check_fits(with_settings(recipe, ["batch=8192", "accumulation=1"]), parts, 1)
