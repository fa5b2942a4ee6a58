"""Asking the teacher again: ceilings, suspects and corrections."""
