"""What a model's common and unique dimensions look at (section D of the supplement): arrays in these files, pictures in ``plots``.

``captum``, ``scikit-learn`` and ``matplotlib`` come with ``pip install decur[explain]``; they are imported where they are used.
"""
from .alignment import Moments, alignment_histogram, alignment_losses, standardise
from .gradcam import agreement_of_others, grad_cam, normalise_maps, saliency_agreement, saliency_correlation
from .loading import load_explained
from .representation import BlockMeans, blocks_of, represent
from .spectral import band_importance, integrated_gradients
from .tsne import tsne_of_dimensions

__all__ = [
    'BlockMeans', 'Moments', 'agreement_of_others', 'alignment_histogram', 'alignment_losses', 'band_importance', 'blocks_of', 'grad_cam',
    'integrated_gradients', 'load_explained', 'normalise_maps', 'represent', 'saliency_agreement', 'saliency_correlation', 'standardise',
    'tsne_of_dimensions'
]
