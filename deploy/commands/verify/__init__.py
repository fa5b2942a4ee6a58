"""Recomputes, from the topics alone, that every record ended exactly once; follows one record through them."""
