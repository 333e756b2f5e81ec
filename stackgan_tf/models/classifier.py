"""Classifiers of a data set: their logits give the Inception Score, their features FID.

In the precision of Keras' global policy; features and logits are float32 always.
"""

import keras
from keras import layers


def small_classifier(side: int, classes: int, width: int, name: str) -> keras.Model:
    """Images [B, S, S, 3] in [-1, 1] -> features [B, 8 width] and logits [B, K], of a network learnt from scratch.

    Strided convolutions with batch norm, two a size, a residual around the second, until 4 pixels are left; their mean
    is the features.

    Args:
        side: S, a power of two.
        classes: K.
        width: channels at half of S; doubled at every halving up to 8 times.
    """
    images = keras.Input((side, side, 3), name="images")
    x = images
    for i in range((side // 4).bit_length() - 1):
        channels = width * 2 ** min(i, 3)
        x = _block(x, channels, 2, f"down{i}")
        x = layers.Add(name=f"add{i}")([x, _block(x, channels, 1, f"same{i}")])
    features = layers.GlobalAveragePooling2D(dtype="float32", name="features")(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(features)
    return keras.Model(images, {"features": features, "logits": logits}, name=name)


def _block(x: keras.KerasTensor, channels: int, strides: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(channels, 3, strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def fine_tuned_inception(classes: int, weights: str, name: str) -> keras.Model:
    """InceptionV3 with a new last layer: images [B, 299, 299, 3] -> features [B, 2048] and logits [B, K].

    Args:
        weights: `imagenet`, or a file of weights without the top.

    Source: the classifiers of StackGAN's Inception Score, section 4.1.
    """
    body = keras.applications.InceptionV3(include_top=False, weights=weights, pooling="avg", input_shape=(299, 299, 3))
    features = layers.Activation("linear", dtype="float32", name="features")(body.output)
    logits = layers.Dense(classes, dtype="float32", name="logits")(features)
    return keras.Model(body.input, {"features": features, "logits": logits}, name=name)
