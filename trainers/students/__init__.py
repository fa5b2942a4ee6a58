"""The ladder of students behind one small protocol."""
