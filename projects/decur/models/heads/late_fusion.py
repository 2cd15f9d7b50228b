"""Late fusion: features of all modalities concatenated, one linear layer (supplement B.2); for labels, a class, or numbers."""
from collections.abc import Mapping, Sequence

import torch
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.nn import functional as F

from decur.errors import ConfigError, DataError, check_choice


@MODELS.register_module()
class LateFusionHead(BaseModule):
    """A linear layer on concatenated features, for scenes.

    The features of a missing modality are replaced by their mean over the training samples.

    Args:
        num_classes (int): Number of labels, classes, or numbers to predict.
        in_channels (dict[str, int]): Length of each modality's feature; given by the classifier.
        threshold (float): Probability from which a label is predicted. Defaults to 0.5.
        task (str): ``'multi-label'``: ``gt_score`` is 0 or 1 for every label; MultiLabelSoftMarginLoss. ``'single-label'``: ``gt_label`` is
            the class; cross-entropy. ``'regression'``: ``gt_score`` are numbers; mean squared error. Defaults to ``'multi-label'``.
        init_cfg (dict, optional): As in MMEngine.
    """

    def __init__(self, num_classes: int, in_channels: Mapping, threshold: float = 0.5, task: str = 'multi-label',
                 init_cfg: dict | None = None):
        super().__init__(init_cfg)
        self.task = check_choice('task', task, ('multi-label', 'single-label', 'regression'))
        self.in_channels, self.num_classes, self.threshold = dict(in_channels), num_classes, threshold
        self.fc = nn.Linear(sum(self.in_channels.values()), num_classes)
        self.criterion = nn.MultiLabelSoftMarginLoss()
        for name, channels in self.in_channels.items():
            self.register_buffer(f'mean_{name}', torch.zeros(channels))
            self.register_buffer(f'count_{name}', torch.zeros(()))

    def init_weights(self) -> None:
        """Normal weights of standard deviation 0.01, zero bias, as published."""
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    @torch.no_grad()
    def _count(self, name: str, x: Tensor) -> None:
        """Update the running mean, over about the last 10,000 samples, because features change during fine-tuning."""
        count = getattr(self, f'count_{name}')
        mean = getattr(self, f'mean_{name}')
        if len(x):
            count.add_(len(x)).clamp_(max=10000.)
            mean.lerp_(x.float().mean(0), min(1., len(x) / float(count)))

    def forward(self, features: Mapping, present: Mapping | None = None) -> Tensor:
        """Logits.

        Args:
            features (dict[str, Tensor]): ``(N, F)`` by modality; one that is left out is missing in all samples.
            present (dict[str, Tensor], optional): ``(N, )`` bool by modality.

        Returns:
            Tensor: ``(N, num_classes)``.
        """
        unknown = [name for name in features if name not in self.in_channels]
        if unknown or not features:
            raise ConfigError(f'this head takes features of {list(self.in_channels)}, got {list(features)}.')
        first = next(iter(features.values()))
        parts = []
        for name in self.in_channels:
            x = features.get(name)
            mean = getattr(self, f'mean_{name}').to(first.dtype)
            if x is None:
                x = mean.expand(len(first), -1)
            else:
                there = None if present is None else present.get(name)
                if self.training:
                    self._count(name, x if there is None else x[there])
                if there is not None:
                    x = torch.where(there[:, None], x, mean)
            parts.append(x)
        return self.fc(torch.cat(parts, dim=1))

    def loss(self, features: Mapping, data_samples: Sequence, present: Mapping | None = None) -> dict:
        """The loss of the task, against ``gt_score`` ``(num_classes, )`` or ``gt_label`` of every data sample.

        Raises:
            DataError: If a sample has no label, or one of another kind.
        """
        if self.task == 'single-label':
            return dict(loss=F.cross_entropy(self(features, present).float(), self._classes(data_samples)))
        for sample in data_samples:
            score = getattr(sample, 'gt_score', None)
            if score is None or len(score) != self.num_classes:
                raise DataError(f'sample {getattr(sample, "sample_id", "")!r} has '
                                f'{"no labels" if score is None else f"{len(score)} labels"}, the head {self.num_classes} classes.')
        target = torch.stack([sample.gt_score for sample in data_samples]).to(self.fc.weight.device)
        criterion = self.criterion if self.task == 'multi-label' else F.mse_loss
        return dict(loss=criterion(self(features, present).float(), target.float()))

    def _classes(self, data_samples: Sequence) -> Tensor:
        """``(N, )`` classes of single-label samples."""
        for sample in data_samples:
            label = getattr(sample, 'gt_label', None)
            if label is None or label.numel() != 1 or not 0 <= int(label) < self.num_classes:
                found = 'no class' if label is None else label.tolist()
                raise DataError(f'sample {getattr(sample, "sample_id", "")!r} has {found}, the head takes one of {self.num_classes} '
                                'classes.')
        return torch.cat([sample.gt_label.reshape(-1) for sample in data_samples]).long().to(self.fc.weight.device)

    def predict(self, features: Mapping, data_samples: Sequence | None = None, present: Mapping | None = None) -> list:
        """Data samples with ``pred_score`` (probabilities, or numbers) and ``pred_label`` (indices above the threshold, or the class)."""
        scores = self(features, present).float()
        if self.task != 'regression':
            scores = scores.sigmoid() if self.task == 'multi-label' else scores.softmax(1)
        samples = data_samples if data_samples is not None else [DataSample() for _ in scores]
        for sample, score in zip(samples, scores):
            sample.set_pred_score(score)
            if self.task != 'regression':
                sample.set_pred_label(torch.where(score >= self.threshold)[0] if self.task == 'multi-label' else score.argmax(0))
        return list(samples)
