"""Where images come from: folders on disk, a synthetic generator, the official archive."""
