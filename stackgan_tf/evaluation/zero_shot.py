"""Do embeddings tell classes apart that were never seen? Zero-shot classification."""

import numpy as np


def zero_shot_accuracy(images: np.ndarray, labels: np.ndarray, texts: np.ndarray, text_labels: np.ndarray) -> float:
    """The share of images whose class has the best matching sentences.

    A class is the mean of the embeddings of its sentences; an image belongs to the class of the largest dot product.

    Args:
        images: [N, T], of `labels` [N].
        texts: [M, T], of `text_labels` [M].

    Source: Reed et al., CVPR 2016, section 5; released code, `classify_sje_tcnn.lua`.
    """
    classes = np.unique(labels)
    means = np.stack([texts[text_labels == label].mean(axis=0) for label in classes])
    return float(np.mean(classes[np.argmax(images @ means.T, axis=1)] == labels))
