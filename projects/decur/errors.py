"""The errors that bad input raises. Each message names the thing and says what to do."""


class ConfigError(ValueError):
    """A config asks for something that cannot be (an unknown modality, a wrong size)."""


class DataError(ValueError):
    """A file or a sample is not what the config says (missing, truncated, wrong band count)."""


class WeightsError(ValueError):
    """A checkpoint does not fit, is damaged, or holds something that is not weights."""
