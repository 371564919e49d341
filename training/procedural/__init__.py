"""Pictures drawn by the program from numbers alone, to train on: no photograph is read anywhere."""
