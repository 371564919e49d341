"""The arguments of the command ``gad``: one module for each subcommand, which does not load its work."""
