"""The instruction table: encodings and meaning of each instruction, side by side."""
