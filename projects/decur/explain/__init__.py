"""What a model's common and unique dimensions look at (section D of the supplement): arrays in these files, pictures in ``plots``.

``captum``, ``scikit-learn`` and ``matplotlib`` come with ``pip install decur[explain]``; they are imported where they are used.
"""
from .alignment import Moments, alignment_histogram, alignment_losses, standardize
from .gradcam import grad_cam
from .loading import load_explained
from .maps import agreement_of_others, normalize_maps, saliency_agreement, saliency_correlation, saliency_statistics
from .representation import BlockMeans, blocks_of, represent
from .spectral import band_importance, integrated_gradients
from .tsne import tsne_of_dimensions

__all__ = [
    'BlockMeans', 'Moments', 'agreement_of_others', 'alignment_histogram', 'alignment_losses', 'band_importance', 'blocks_of', 'grad_cam',
    'integrated_gradients', 'load_explained', 'normalize_maps', 'represent', 'saliency_agreement', 'saliency_correlation',
    'saliency_statistics', 'standardize',
    'tsne_of_dimensions'
]
