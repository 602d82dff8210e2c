"""A Classifier is measured and used."""
