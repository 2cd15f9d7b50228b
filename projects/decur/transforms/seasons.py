"""The season that each view shows."""
import numpy as np
from mmengine.registry import TRANSFORMS

from decur.errors import check_choice

from .loading import BoundTransform


@TRANSFORMS.register_module()
class DrawSeasons(BoundTransform):
    """Draw a season per view and modality; comes before :class:`LoadModalities`, so only what is drawn is read.

    Needs ``seasons`` (``{name: [source, ...]}``, ordered by date); sets ``sources[name]`` to a list of one source per view (or, with
    ``num_views=1``, to a source).

    Args:
        mode (str): ``'independent'``: each modality draws a season for each view, as published (a view may show the same season as
            the other one). ``'paired'``: one draw per view for all modalities, so that view v of every modality is of one season.
            ``'same'``: one draw for all views and modalities. ``'first'``: the earliest, no draw.
        num_views (int): Defaults to 2.
    """

    def __init__(self, mode: str = 'independent', num_views: int = 2):
        self.mode, self.num_views = check_choice('mode', mode, ('independent', 'paired', 'same', 'first')), num_views

    def transform(self, results: dict) -> dict:
        """Draw."""
        seasons = results['seasons']
        sources = dict(results['sources'])
        # Positions within the year rather than indices: a modality may lack a season.
        shared = np.random.random(self.num_views)
        if self.mode == 'same':
            shared[:] = shared[0]
        for name, scenes in seasons.items():
            if not scenes:
                sources[name] = None
                continue
            share = np.random.random(self.num_views) if self.mode == 'independent' else shared
            drawn = [scenes[0 if self.mode == 'first' else int(s * len(scenes))] for s in share]
            sources[name] = drawn if self.num_views > 1 else drawn[0]
        results['sources'] = sources
        return results
