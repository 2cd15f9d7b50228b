"""The metrics of a model when modalities are missing."""
from collections.abc import Mapping, Sequence

from mmengine.logging import print_log

from decur.errors import ConfigError
from decur.modalities import check_modalities, check_names

from .tables import plain

#: Columns of the table, where a test has them.
_FIGURES = ('mIoU', 'aAcc', 'mAcc', 'multi-label/mAP_micro', 'multi-label/mAP_macro', 'multi-label/F1_micro', 'multi-label/F1_macro')


def subsets_to_test(modalities: Mapping, subsets: Sequence[Sequence[str]] | None = None) -> list:
    """All modalities together, then each alone; or the given ``subsets``, checked.

    Raises:
        ConfigError: A subset is empty or names an unknown modality.
    """
    names = list(check_modalities(modalities))
    if subsets is None:
        return [tuple(names)] + ([(name, ) for name in names] if len(names) > 1 else [])
    for subset in subsets:
        check_names(subset, names)
        if not subset:
            raise ConfigError(f'cannot test without a modality; there are {names}.')
    return [tuple(name for name in names if name in subset) for subset in subsets]


def test_modalities(runner, subsets: Sequence[Sequence[str]] | None = None) -> dict:
    """Test a segmentation model or a classifier with some of its modalities.

    The others are replaced: by their mean image in segmentation, by their mean training feature in :class:`LateFusionHead`.

    Args:
        runner (Runner): With a test loop, whose model has a preprocessor that can hide modalities.
        subsets (Sequence[Sequence[str]], optional): Modalities that are there, test by test. Defaults to all, then each alone.

    Returns:
        dict[str, dict]: Metrics by subset, ``'rgb+hha'``, ``'rgb'``, ...

    Raises:
        ConfigError: No such preprocessor, or an unknown modality.
    """
    from decur.models.preprocessing import HidesModalities
    found = [module for module in runner.model.modules() if isinstance(module, HidesModalities)]
    if not found:
        raise ConfigError('the model has no preprocessor of modalities, so they cannot be left out one by one.')
    preprocessor, results = found[0], {}
    before = preprocessor.absent
    try:
        for i, subset in enumerate(subsets_to_test(preprocessor.modalities, subsets)):
            preprocessor.hide([name for name in preprocessor.modalities if name not in subset])
            print_log(f'testing with {" + ".join(subset)}', logger='current')
            # The first one loads the checkpoint.
            results['+'.join(subset)] = dict(runner.test() if i == 0 else runner.test_loop.run())
    finally:
        preprocessor.hide(before)
    return results


# Not a test of pytest's, whatever its name.
test_modalities.__test__ = False


def format_table(results: Mapping) -> str:
    """The metrics of :func:`test_modalities` as a text table: one line per subset, then one line per class.

    Args:
        results (dict[str, dict]): Metrics by subset; ``IoU.<class>`` entries give the lines of the classes.
    """
    figures = [key for key in _FIGURES if all(key in metrics for metrics in results.values())]
    text = plain(['modalities', *(key.split('/')[-1] for key in figures)], [
        [name, *(f'{float(metrics[key]):.2f}' for key in figures)] for name, metrics in results.items()])
    classes = [key for key in next(iter(results.values())) if key.startswith('IoU.')]
    if classes:
        text += '\n\n' + plain(['IoU by class', *results], [
            [key.removeprefix('IoU.'), *(f'{float(metrics[key]):.2f}' for metrics in results.values())] for key in classes])
    return text
