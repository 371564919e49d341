"""The experiments of the paper and those beside it, one module each, on the features of one category."""
