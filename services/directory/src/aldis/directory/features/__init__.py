"""What the directory does: one file for each thing that others ask of it."""
