"""ImageNet dogs."""

import tensorflow_datasets as tfds

from stackgan_tf.data.imagenet import Imagenet


class ImagenetDog(Imagenet):
    """The 118 breeds of dogs of ILSVRC 2012, 147,873 images (StackGAN++, section 5), without captions."""

    VERSION = tfds.core.Version("1.0.0")
    WORDNET_IDS = ("n02085620", "n02113978")  # Chihuahua to Mexican hairless
