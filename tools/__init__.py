"""What the Makefile and the book's build call."""
