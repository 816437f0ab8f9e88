"""Surfaces, volume meshes and centerlines made from labels."""
