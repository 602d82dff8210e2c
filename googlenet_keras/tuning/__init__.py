"""The width search: filter widths that suit a budget."""
