"""Checkpoints of others in, ours out, with strict reports."""
from .io import load_file, register, save_file, unwrap

register()

__all__ = ['load_file', 'save_file', 'unwrap']
