"""Gaussian anomaly detection on pretrained deep features."""

__version__ = "0.1.0"
