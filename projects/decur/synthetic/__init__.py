"""Worlds that can be made: RGB-D rooms and others, for tests, the quickstart and controlled experiments."""
