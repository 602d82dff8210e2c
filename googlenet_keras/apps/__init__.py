"""The apps for phones that run an exported network."""
