"""Flow, pressure and risk computed from meshes."""
