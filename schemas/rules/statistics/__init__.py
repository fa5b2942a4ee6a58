"""Intervals, sequential tests, calibration and ceilings that several processes share. Pure."""
