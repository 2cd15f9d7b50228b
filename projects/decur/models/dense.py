"""Dense terms: the objective on stage maps, at places that show the same ground (VICRegL, arXiv 2210.01571, in DeCUR's form)."""
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import get_world_size
from mmengine.registry import MODELS
from torch import Tensor, nn

from decur.errors import ConfigError, DataError, check_choice

from .auxiliary import AuxiliaryHead, View
from .projector import MultimodalProjector


@MODELS.register_module()
class DenseHead(AuxiliaryHead):
    """An objective on the maps of a stage: every place of every sample is a row of its batch.

    Maps go through projectors of their own, place by place. With ``matching='aligned'`` all modalities have the same crop in a view
    (``MakeViews(aligned=True)``), so the places of their maps match one by one: the map is averaged over ``grid`` x ``grid`` tiles. With
    ``matching='boxes'`` the places are the centres of ``grid`` x ``grid`` tiles of the part of the image that all crops show, flips
    considered, and maps are read there bilinearly; a sample whose crops share less than ``min_side`` of the image along an axis does not
    count. It needs ``PackModalities(meta_keys=('sample_id', 'crops'))``, and takes two views of a modality too (``objective.intra=True``),
    which are never aligned.

    ``dense`` is the objective's total. In its Gram form the cost is linear in the width of the embedding and quadratic in the number of
    places; the objective's ``form='auto'`` takes the cheaper form.

    Args:
        weight (float): Of the objective's sum. Defaults to 1.
        stage (int): Stage whose map is taken, from 0; negative ones count from the last. Defaults to -2.
        grid (int): Places along each side. Defaults to 4.
        hid_channels, out_channels, num_layers (int): Of the projectors. Default to 256, 256 and 2.
        objective (dict, optional): A head without statistics. Defaults to DeCUR across modalities with 75 % common dimensions.
        matching (str): ``'aligned'`` or ``'boxes'``. Defaults to ``'aligned'``.
        min_side (float): See above; a share of the image's side. Defaults to 0.1.
        backbone (MultimodalBackbone), neck (MultimodalProjector): Filled in by the model.

    Raises:
        ConfigError: If an option is not valid, or views of one modality are to be matched as if they were aligned.
        DataError: In training, if there are no crops to match by.
    """

    needs_maps = True

    def __init__(self, weight: float = 1., stage: int = -2, grid: int = 4, hid_channels: int = 256, out_channels: int = 256,
                 num_layers: int = 2, objective: Mapping | None = None, matching: str = 'aligned', min_side: float = 0.1, *,
                 backbone: nn.Module, neck: nn.Module, **kwargs):
        super().__init__(weight, **kwargs)
        check_choice('matching', matching, ('aligned', 'boxes'))
        if isinstance(grid, bool) or not isinstance(grid, int) or grid < 1 or not 0 < min_side <= 1:
            raise ConfigError(f'DenseHead needs a grid of at least 1 and a min_side in (0, 1], got {grid!r} and {min_side!r}.')
        stages = {name: stream.stage_channels for name, stream in backbone.streams.items()}
        if not all(-len(channels) <= stage < len(channels) for channels in stages.values()):
            raise ConfigError(f'DenseHead: there is no stage {stage}; the encoders have { {m: len(c) for m, c in stages.items()} } stages.')
        self.stage, self.grid, self.matching, self.min_side = stage, grid, matching, min_side
        self.projector = MultimodalProjector({name: channels[stage] for name, channels in stages.items()}, hid_channels, out_channels,
                                             num_layers)
        objective = dict(objective or dict(type='DeCURHead', common_dim=3 * out_channels // 4, intra=False))
        self.objective = MODELS.build(dict(objective, statistics=False))
        # DeCUR without the terms within modalities reads first views alone.
        self.num_views = self.objective.num_views if getattr(self.objective, 'intra', True) else 1
        self.objective.num_views = self.num_views
        if self.num_views > 1 and matching == 'aligned':
            raise ConfigError("DenseHead: the two views of a modality are different crops; set matching='boxes', or objective.intra=False.")

    def loss(self, views: Sequence[View], objective: nn.Module, present: Mapping | None, data_samples: Sequence | None) -> dict:
        """See :class:`~decur.models.auxiliary.AuxiliaryHead`."""
        if present is not None:
            raise ConfigError('DenseHead needs samples that have all modalities: leave out the others, or the head.')
        maps = [{name: stages[self.stage] for name, stages in view.maps.items()} for view in views[:self.num_views]]
        if self.matching == 'aligned':
            valid = None
            places = [{name: F.adaptive_avg_pool2d(x, self.grid) for name, x in view.items()} for view in maps]
        else:
            points, valid = self.match(data_samples, list(maps[0]), next(iter(maps[0].values())))
            places = [{name: F.grid_sample(x, points[name, number].to(x.dtype), padding_mode='border', align_corners=False)
                       for name, x in view.items()} for number, view in enumerate(maps)]
        embedded = [{name: self._project(name, x, valid) for name, x in view.items()} for view in places]
        masks = None if valid is None else dict.fromkeys(maps[0], valid.repeat_interleave(self.grid**2))
        embedded = {name: tuple(view[name] for view in embedded) for name in maps[0]}
        return dict(dense=self.objective.loss(embedded, present=masks)['loss'])

    def _project(self, name: str, x: Tensor, valid: Tensor | None) -> Tensor:
        """Embeddings ``(N P, K)`` of places ``(N, C, grid, grid)``; 0 in the rows of samples that do not count."""
        rows = x.flatten(2).transpose(1, 2)
        kept = rows if valid is None else rows[valid]
        if not len(kept) and get_world_size() == 1:  # a batch norm of nothing
            return rows.new_zeros(rows.shape[:2].numel(), self.projector.out_channels) + rows.sum() * 0
        z = self.projector({name: kept.reshape(-1, rows.shape[2])})[name]
        if valid is None:
            return z
        where = valid.repeat_interleave(rows.shape[1]).nonzero()[:, 0]
        return z.new_zeros(rows.shape[:2].numel(), z.shape[1]).index_put((where, ), z)

    def match(self, data_samples: Sequence | None, names: Sequence[str], like: Tensor) -> tuple:
        """Where the crops of a sample show the same ground.

        Args:
            data_samples (Sequence[DataSample]): With ``crops``: ``{name: [Geometry of each view]}``.
            names (Sequence[str]): The modalities.
            like (Tensor): Its device is taken.

        Returns:
            tuple: ``{(name, view): (N, grid, grid, 2)}``, places in the view as ``grid_sample`` has them (x, y; -1..1 from edge to edge),
            and ``(N,)`` bool, which samples count.
        """
        crops = [getattr(sample, 'crops', None) for sample in data_samples or ()]
        if not crops or any(one is None for one in crops):
            raise DataError("DenseHead(matching='boxes') needs the crops of the views: PackModalities(meta_keys=('sample_id', 'crops')).")
        slots = [(name, view) for name in names for view in range(self.num_views)]
        try:
            boxes = [[[float(value) for value in one[name][view]] for name, view in slots] for one in crops]
            y, x, h, w, hflip, vflip = torch.tensor(boxes, dtype=torch.float64, device=like.device).unbind(2)  # (N, slots) each
        except (TypeError, ValueError, IndexError, KeyError) as error:
            raise DataError(f"DenseHead(matching='boxes') needs crops of ViewAugmentation, as shares of the image: {error}.") from error
        top, left, bottom, right = y.amax(1), x.amax(1), (y + h).amin(1), (x + w).amin(1)
        valid = (bottom - top >= self.min_side) & (right - left >= self.min_side)
        steps = (torch.arange(self.grid, device=like.device) + 0.5) / self.grid
        rows = top[:, None] + steps * (bottom - top)[:, None]  # (N, grid), shares of the image
        columns = left[:, None] + steps * (right - left)[:, None]
        points = {}
        for i, slot in enumerate(slots):
            v = ((rows - y[:, i, None]) / h[:, i, None]) * 2 - 1
            u = ((columns - x[:, i, None]) / w[:, i, None]) * 2 - 1
            v, u = torch.where(vflip[:, i, None] > 0, -v, v), torch.where(hflip[:, i, None] > 0, -u, u)
            points[slot] = torch.stack([u[:, None].expand(-1, self.grid, -1), v[:, :, None].expand(-1, -1, self.grid)], dim=3)
        return points, valid
