"""Pretraining objectives: each a pure function of named embeddings and a thin registered module."""
