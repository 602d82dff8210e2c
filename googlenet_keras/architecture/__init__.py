"""What GoogLeNet is, as data: rows, variants, costs. Standard library only."""
