"""Image files become batches."""
