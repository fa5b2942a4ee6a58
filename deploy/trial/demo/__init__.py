"""The play of the whole loop on one bare machine."""
