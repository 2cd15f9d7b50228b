"""Segmentation models to ONNX, checked against PyTorch in ONNX Runtime."""
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from decur.errors import ConfigError, WeightsError
from decur.models.preprocessing import MultimodalSegDataPreprocessor
from decur.writing import output_folder, replacing


class ExportableSegmentor(nn.Module):
    """What the ONNX file computes: raw pixel values in, logits of the same size out.

    Normalisation (and channel order) is inside, so users of the file need no statistics.
    """

    def __init__(self, model: nn.Module):
        super().__init__()
        preprocessor = model.data_preprocessor
        if not isinstance(preprocessor, MultimodalSegDataPreprocessor):
            raise ConfigError('only segmentation models with a MultimodalSegDataPreprocessor are exported.')
        self.model = model
        self.register_buffer('mean', preprocessor.mean[None].clone())
        self.register_buffer('std', preprocessor.std[None].clone())
        self.order = list(preprocessor.order)

    def forward(self, x: Tensor) -> Tensor:
        """``(N, sum C, H, W)`` float32 pixel values to logits ``(N, classes, H, W)``."""
        if self.order != sorted(self.order):
            x = x[:, self.order]
        logits = self.model((x - self.mean) / self.std, mode='tensor')
        return F.interpolate(logits, size=x.shape[2:], mode='bilinear', align_corners=self.model.align_corners)


def example_input(model: nn.Module, size, batch: int = 1, seed: int = 0) -> Tensor:
    """Random pixel values with each channel's own mean and spread, ``(batch, sum C, *size)``."""
    preprocessor = model.data_preprocessor
    noise = torch.randn(batch, len(preprocessor.mean), *size, generator=torch.Generator().manual_seed(seed))
    return noise * preprocessor.std.cpu() + preprocessor.mean.cpu()


def export_onnx(model: nn.Module, path, size=(480, 640), dynamic: bool = False, opset: int = 18) -> Path:
    """Write a segmentation model as ONNX: input ``pixels``, output ``logits`` (see :class:`ExportableSegmentor`).

    Args:
        model (nn.Module): mmseg ``EncoderDecoder``, on the CPU and in evaluation mode.
        path (str | Path): File to write; it appears when it is whole.
        size (tuple): Height and width that it is traced with.
        dynamic (bool): Let batch, height and width vary. Height and width must be multiples of 32, from 64 to 2048.
        opset (int): ONNX operator set, from 16.

    Returns:
        Path: The file.

    Raises:
        ConfigError: If the model is no segmentation model, or size or opset cannot be exported.
        WriteError: If the file cannot be written.
    """
    output_folder(Path(path).parent)
    with replacing(path) as temporary:
        _export(model, temporary, size, dynamic, opset)
    return Path(path)


def export_checked(model: nn.Module, path, size=(480, 640), dynamic: bool = False, opset: int = 18, tolerance: float = 1e-3) -> dict:
    """:func:`export_onnx`, but the file appears only if ONNX Runtime computes with it what PyTorch computes.

    Args:
        model, path, size, dynamic, opset: As for :func:`export_onnx`.
        tolerance (float): Largest difference of the logits, relative to the largest logit (at least 1).

    Returns:
        dict: As from :func:`check_onnx`.

    Raises:
        WeightsError: If the two differ by more; no file is written.
    """
    sizes = [size] + ([(size[0] + 32, size[1] + 64)] if dynamic else [])
    output_folder(Path(path).parent)
    with replacing(path) as temporary:
        _export(model, temporary, size, dynamic, opset)
        found = check_onnx(model, temporary, sizes)
        if not found['difference'] <= tolerance * max(found['scale'], 1.):
            raise WeightsError(f'{path}: not written, because ONNX Runtime and PyTorch differ by {found["difference"]:.2e}, more than the '
                               f'tolerance ({tolerance:g} of the largest logit, {found["scale"]:.2f}).')
    return found


def _export(model: nn.Module, path: Path, size: Sequence[int], dynamic: bool, opset: int) -> None:
    if min(size) < 1 or (dynamic and any(side % 32 or not 64 <= side <= 2048 for side in size)):
        raise ConfigError(f'size {tuple(size)} cannot be exported: ' + ('with varying sizes it must be multiples of 32 from 64 to 2048.'
                                                                        if dynamic else 'give two positive numbers.'))
    try:
        import onnx
        import onnxscript  # noqa: F401  torch's exporter uses it
    except ImportError as error:
        raise ConfigError(f'ONNX export needs {error.name}: pip install onnx onnxscript onnxruntime.') from error
    if not 16 <= opset <= onnx.defs.onnx_opset_version():
        raise ConfigError(f'opset {opset} cannot be exported: give one from 16 to {onnx.defs.onnx_opset_version()}.')
    segmentor = ExportableSegmentor(model).eval()
    example = example_input(model, size, batch=2 if dynamic else 1)
    shapes = None
    if dynamic:
        # Multiples of the encoders' stride: every stage then halves without a remainder.
        rows, columns = torch.export.Dim('rows', min=2, max=64), torch.export.Dim('columns', min=2, max=64)
        shapes = ({0: torch.export.Dim('batch', min=1, max=64), 2: 32 * rows, 3: 32 * columns}, )
    with torch.no_grad():
        torch.onnx.export(segmentor, (example, ), str(path), input_names=['pixels'], output_names=['logits'], dynamo=True,
                          dynamic_shapes=shapes, opset_version=opset, external_data=False, verbose=False)
    written = {entry.version for entry in onnx.load(path).opset_import if entry.domain in ('', 'ai.onnx')}
    if written != {opset}:
        raise ConfigError(f'this model cannot be written with opset {opset}, only with {sorted(written)}.')


def check_onnx(model: nn.Module, path, sizes=((480, 640), ), batch: int = 1) -> dict:
    """Compare an ONNX file with the model in ONNX Runtime (CPU).

    Args:
        model (nn.Module): The model that was exported.
        path (str | Path): The file.
        sizes (Sequence[tuple]): Heights and widths to try.
        batch (int): Batch size.

    Returns:
        dict: ``difference`` (largest absolute difference of the logits), ``scale`` (largest absolute logit of PyTorch) and ``agreement``
        (share of pixels of the same class).
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError('comparing an ONNX file needs onnxruntime: pip install onnxruntime.') from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
    segmentor = ExportableSegmentor(model).eval()
    difference, scale, same, count = 0., 0., 0, 0
    for i, size in enumerate(sizes):
        pixels = example_input(model, size, batch, seed=i + 1)
        with torch.no_grad():
            expected = segmentor(pixels).numpy()
        found = session.run(None, {'pixels': pixels.numpy()})[0]
        # A comparison with NaN is never true, so NaN on either side must not look like agreement.
        difference = max(difference, float(np.nan_to_num(np.abs(found - expected), nan=np.inf, posinf=np.inf).max()))
        scale = max(scale, float(np.abs(expected).max()))
        same += int((found.argmax(1) == expected.argmax(1)).sum())
        count += expected[:, 0].size
    return dict(difference=difference, scale=scale, agreement=same / count)
