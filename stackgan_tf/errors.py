"""The one error that a user sees as one line."""


class UserError(ValueError):
    """A mistake of the user: what, which value, the way out. The programs print it and exit with code 2."""
