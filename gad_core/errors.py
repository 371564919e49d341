"""The one exception that tells a user what to mend."""


class InputError(ValueError):
    """Input that cannot be used; the message names the thing and the remedy.

    Every check of files, folders, images, weights, models and options in `gad_core` raises this class or a
    subclass of it. The command line prints its message as one line and exits with status 2.
    """
