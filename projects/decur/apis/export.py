"""Segmentation models to ONNX, checked against PyTorch in ONNX Runtime."""
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from decur.errors import ConfigError
from decur.models.preprocessing import MultimodalSegDataPreprocessor
from decur.writing import replacing


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
        dynamic (bool): Let batch, height and width vary. Height and width must be multiples of 32.
        opset (int): ONNX operator set.

    Returns:
        Path: The file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    segmentor = ExportableSegmentor(model).eval()
    example = example_input(model, size, batch=2 if dynamic else 1)
    shapes = None
    if dynamic:
        # Multiples of the encoders' stride: every stage then halves without a remainder.
        rows, columns = torch.export.Dim('rows', min=2, max=64), torch.export.Dim('columns', min=2, max=64)
        shapes = ({0: torch.export.Dim('batch', min=1, max=64), 2: 32 * rows, 3: 32 * columns}, )
    with replacing(path) as temporary, torch.no_grad():
        torch.onnx.export(segmentor, (example, ), str(temporary), input_names=['pixels'], output_names=['logits'], dynamo=True,
                          dynamic_shapes=shapes, opset_version=opset, external_data=False, verbose=False)
    return path


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
    import onnxruntime
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
        difference = max(difference, float(np.abs(found - expected).max()))
        scale = max(scale, float(np.abs(expected).max()))
        same += int((found.argmax(1) == expected.argmax(1)).sum())
        count += expected[:, 0].size
    return dict(difference=difference, scale=scale, agreement=same / count)
