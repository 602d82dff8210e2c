"""Reads image files and makes batches of them."""
