"""Where a score comes from, and whether the detector looks at the right thing."""
