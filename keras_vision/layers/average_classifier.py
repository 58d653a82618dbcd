"""The classifier that most networks since GoogLeNet end in."""

from typing import Any

from keras import layers


def average_classifier(
    x: Any, classes: int, activation: str | None, *, pool: str = "avg_pool", dropout: float = 0.0, name: str
) -> Any:
    """Global average, dropout if its rate is not 0, dense layer in float32: `(n, h, w, c) -> (n, classes)`.

    Args:
        x: symbolic feature map.
        classes: number of them.
        activation: "softmax", "sigmoid", or None for logits.
        pool: name of the average.
        dropout: rate.
        name: of the dense layer; the dropout is `{name}_drop`.

    Source: Lin et al. (2013), section 3.2; Szegedy et al. (2014), section 5.
    """
    x = layers.GlobalAveragePooling2D(name=pool)(x)
    if dropout:
        x = layers.Dropout(dropout, name=f"{name}_drop")(x)
    return layers.Dense(classes, activation=activation, dtype="float32", name=name)(x)
