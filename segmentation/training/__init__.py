"""Weights that Hilum trains itself, from scenes that it draws: no patient's image is needed."""
