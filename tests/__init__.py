"""Mirrors of the folders; plus contracts, faults, and the whole loop."""
