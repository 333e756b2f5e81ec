"""What every whole network is."""

from typing import Any

import keras


class Network(keras.Model):
    """A Keras model that comes back from its configuration, and leaves casting to its layers.

    Args:
        arguments: those of the subclass's constructor, by name. Keras records them for layers, not for models.
    """

    def __init__(self, arguments: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self._arguments = arguments

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), **self._arguments}
