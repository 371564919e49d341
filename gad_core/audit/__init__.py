"""Look for what gives anomalies away beside the defect, in the pictures and in the detector."""
