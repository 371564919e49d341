"""Plotly figures as pure functions of their data, one module for each chapter of the book."""
