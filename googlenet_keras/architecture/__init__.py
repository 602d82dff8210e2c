"""What GoogLeNet is, in numbers: rows, variants, cost. Standard library only."""
