"""How the bundled glyph model was made: rendered data, training, and the measurements that ship."""
