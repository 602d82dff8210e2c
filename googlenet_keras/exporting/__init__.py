"""What users do: a Classifier becomes files that other programs and phones run."""
