"""Plans and the clinical steps they are made of."""
